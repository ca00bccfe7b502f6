"""Turns what the index holds into answers: differences, curves."""
