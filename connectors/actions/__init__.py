"""What can be called: one file a service, found by its name (docs/how-to/add-a-connector.md)."""
