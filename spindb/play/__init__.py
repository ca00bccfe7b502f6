"""Plays saved policies: loads a snapshot, builds its environment on today's stack, rolls out."""
