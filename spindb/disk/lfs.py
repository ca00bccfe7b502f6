"""Git-LFS pointers: small text files in place of files that a clone has not fetched."""

from __future__ import annotations

# hawser: the first name of git-LFS
_BEGINNINGS = (b"version https://git-lfs", b"version https://hawser")
_BOM = b"\xef\xbb\xbf"

LFS_LARGEST = 1024
"""Largest size of a pointer in bytes, by git-LFS's specification."""

LFS_REASON = "a git-LFS pointer, not the file itself: run git lfs pull"
"""The reason in messages about such a file."""


def is_lfs_pointer(data: bytes) -> bool:
    """Whether a file that begins with these bytes is a pointer."""
    return data[:64].removeprefix(_BOM).lstrip().startswith(_BEGINNINGS)
