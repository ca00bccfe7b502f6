"""Every code of a problem and how bad it is. docs/formats.md says what each means, and a test compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Severity(Enum):
    """How bad a problem is; the value says so in words."""

    LOST = "data is lost, or may not be what it seems"
    UNUSABLE = "can't be read or used"
    ODD = "odd, and read all the same"


_LOST = (
    *("nul-bytes", "ragged-row", "more-odd-rows", "no-final-newline", "encoding"),
    *("epoch-goes-back", "epoch-repeats", "second-header", "text-line", "no-header", "glued-row"),
    *("config-too-large", "config-too-deep", "config-key-too-long", "config-key-twice", "config-duplicate-key"),
    *("config-text-too-long", "column-name-too-long", "too-many-entries", "more-problems"),
)
_UNUSABLE = (
    *("lfs-pointer", "too-slow", "reader-died", "unreadable-run", "unreadable-directory", "name-not-utf8"),
    *("path-too-long",),
    *("unreadable-file", "too-large", "not-a-regular-file", "link-outside", "config-broken"),
    *("state-unreadable", "environment-unclear"),
    *(
        "snapshots-unreadable",
        "snapshot-unloadable",
        "snapshot-stale",
        "snapshot-odd",
        "snapshot-odd-name",
        "ambiguous-number",
    ),
    *("state-not-saved", "config-missing", "no-rows", "no-numbers", "progress-empty"),
)
_ODD = (
    *("algo-differs", "environment-differs", "seed-differs", "separator", "duplicate-column", "unnamed-column"),
    *("several-rows-an-epoch", "rows-beyond-epochs", "text-cells"),
    *("text-numbers", "trailing-separator", "comment-line", "repeated-header"),
)

SEVERITIES: Mapping[str, Severity] = MappingProxyType(
    {
        **dict.fromkeys(_LOST, Severity.LOST),
        **dict.fromkeys(_UNUSABLE, Severity.UNUSABLE),
        **dict.fromkeys(_ODD, Severity.ODD),
    }
)
"""The severity of each code, the worst first."""

_ORDER = {code: place for place, code in enumerate(SEVERITIES)}


def rank(code: str) -> tuple[int, str]:
    """What orders codes, the worst first; a code that is not known comes first of all."""
    return _ORDER.get(code, -1), code


def severity(code: str) -> Severity:
    """How bad a problem of that code is."""
    return SEVERITIES.get(code, Severity.LOST)
