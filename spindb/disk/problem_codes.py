"""All problem codes and their severities. docs/formats.md explains each code; a test compares both."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Severity(Enum):
    """How severe a problem is; the value is its description."""

    LOST = "data is lost, or may not be what it seems"
    UNUSABLE = "can't be read or used"
    ODD = "odd, and read all the same"


# Within each tuple the most severe code comes first: this is the order in which ingest lists problems.
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
"""The severity of each code, most severe first."""

_ORDER = {code: place for place, code in enumerate(SEVERITIES)}


def rank(code: str) -> tuple[int, str]:
    """The sort key of a code, most severe first. An unknown code, from a newer version, comes before all."""
    return _ORDER.get(code, -1), code


def severity(code: str) -> Severity:
    """The severity of a code; unknown codes have the highest."""
    return SEVERITIES.get(code, Severity.LOST)
