"""What may be wrong with runs. Apart from what finds it: completion lists the codes without a database."""

from __future__ import annotations

CODES = {
    "running": "fewer rows than `epochs`, the last one written a moment ago",
    "stalled": "fewer rows than `epochs`, and none for much longer than a row takes, but less than a day",
    "crashed": "fewer rows than `epochs`, and none for a day or more",
    "unfinished": "fewer rows than `epochs`; when the last was written is not known, since the files are copies",
    "empty": "no row: ended before the first epoch",
    "broken": "metrics that can't be read",
    "truncated": "rows that are cut short, glued or damaged",
    "restarted": "epochs that go back or repeat: a second run was appended, or two processes wrote into one file",
    "nan": "a metric ends in NaN",
    "inf": "a metric ends in an infinity",
    "copy": "the same content as another run",
    "earlier": "rows that another run of the same setting and seed begins with: an earlier state of it",
    "twice": "the same setting and seed as another run",
    "equal-rows": "equal rows under different seeds: the seed changed nothing, or one is a copy of the other",
    "seeds": "settings without a seed that most others of their algorithm and environment have",
    "unloadable": "a saved policy that can't be loaded or is an earlier run's",
    "policyless": "rows, but no saved policy",
    "missing": "a directory that is gone",
}
"""Every finding and what it means, in the order in which they are listed."""
