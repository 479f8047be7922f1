"""Checks of everything that deploys Headrace, for ``make lint``: ``python -m deploy.check``."""
