"""Leaving Zapier: what its exports hold, and what becomes of it here (docs/migrate-from-zapier.md)."""
