"""What taking over a changed routing table can end with, in ingest and in a worker alike."""

from __future__ import annotations


class ReloadRefused(Exception):
    """What is running cannot become what the table says; the text says why. Nothing has changed."""
