"""Answers that are made of many runs: which of them count, and what they have together."""
