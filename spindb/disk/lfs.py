"""Git-LFS pointers: small texts that stand in a clone where the files themselves were not fetched."""

from __future__ import annotations

_BEGINNINGS = (b"version https://git-lfs", b"version https://hawser")  # hawser was its name before it was published
_BOM = b"\xef\xbb\xbf"

LFS_LARGEST = 1024
"""Bytes of the largest pointer, by git-LFS's own specification."""

LFS_REASON = "a git-LFS pointer, not the file itself: run git lfs pull"
"""What is said of such a file wherever one is met."""


def is_lfs_pointer(data: bytes) -> bool:
    """Whether these bytes, or the first of them, are those of a pointer."""
    return data[:64].removeprefix(_BOM).lstrip().startswith(_BEGINNINGS)
