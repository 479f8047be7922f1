"""How providers sign: one file a scheme, found by its name (docs/how-to/add-a-scheme.md)."""
