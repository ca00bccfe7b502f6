"""The list of runs to read: it comes back as it was, wherever it lies, and says where there is no room for it."""

from __future__ import annotations

import errno
import io
from tempfile import SpooledTemporaryFile

import pytest

from spindb.errors import SpindbError
from spindb.index.write.batch import Known
from spindb.ingest.reading import ToRead
from spindb.ingest.tasks import Task, Tasks

TASKS = [
    Task(ToRead("a/b_s0", "root/a/b_s0", "spinningup", None), "?0f", None),
    Task(ToRead("a\nb", "ü", "spinningup", 2**40), "0f", Known("a\nb", 7, None, "missing", "print", 2**40)),
]


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_tasks_come_back_as_they_were(in_memory: int) -> None:
    with SpooledTemporaryFile(in_memory) as file:
        tasks = Tasks(file)
        for task in TASKS:
            tasks.add(task)
        assert len(tasks) == 2
        assert list(tasks) == TASKS


class _Full(io.BytesIO):
    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def seek(self, *_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_room_is_said_with_the_place_and_what_to_do() -> None:
    with pytest.raises(SpindbError, match=r"can't be kept in .*: No space left on device") as caught:
        Tasks(_Full()).add(TASKS[0])
    assert "TMPDIR" in (caught.value.hint or "")
    with pytest.raises(SpindbError, match="No space left"):
        next(iter(Tasks(_Full())))
