"""Writes to the index."""
