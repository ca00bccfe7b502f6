"""What a verdict on a snapshot can be. Apart from `spindb.records`, whose classes every query would have to define."""

from __future__ import annotations

AGREES, DIFFERS, CANT_TELL = VERDICTS = ("agrees", "differs", "can't-tell")
"""In a sentence the last is *can't tell*."""
