"""Turns directories of Spinning Up runs into a database, and plays every saved policy again."""

__version__ = "0.1.0"
