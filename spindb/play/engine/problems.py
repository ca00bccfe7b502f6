"""Errors for graphs that can't be evaluated. Names from a file are shortened and escaped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from spindb.disk.codecs.nodes import Node
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.codecs.savedmodel import SavedModelError
from spindb.errors import PolicyError

_SHOWN = 80
_IN_WORDS = (PickleError, SavedModelError)


class UnsupportedGraphError(PolicyError):
    """The numpy engine does not support the graph; TensorFlow may. ``reason`` is the message without the save."""

    def __init__(self, save: Path, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{save}: {reason}", hint=hint)
        self.reason = reason


def shown_name(name: str) -> str:
    """A name from a file, shortened and escaped for a message."""
    cut = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return cut if cut.isprintable() else repr(cut)


def damaged(save: Path, node: Node, error: Exception | str) -> PolicyError:
    """The error for a node that can't be evaluated."""
    if isinstance(error, MemoryError):
        error = "there is not enough memory"
    text = " ".join(str(error).split())[:300]
    if isinstance(error, KeyError):
        text = f"it has no attribute {text}"
    elif not isinstance(error, str):
        text = text or type(error).__name__
    return PolicyError(f"{save} can't be evaluated: {shown_name(node.op)} {shown_name(node.name)}: {text}")


@contextlib.contextmanager
def evaluating(save: Path, what: str = "can't be loaded") -> Iterator[None]:
    """Convert any exception that a damaged file causes in readers and numpy to `PolicyError`."""
    try:
        yield
    except PolicyError:
        raise
    except _IN_WORDS as error:
        raise PolicyError(f"{save} {what}: {error}") from error
    except OSError as error:
        raise PolicyError(f"{save} {what}: {error.strerror or error}") from error
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise PolicyError(
            f"{save} {what}: it is damaged: {type(error).__name__}{f': {text}' if text else ''}"
        ) from error
