"""Coverage-guided fuzzing of everything that reads bytes from disk (atheris, libFuzzer).

    python bench/fuzz.py [SECONDS]             each target in turn, for that long (default 60)
    python bench/fuzz.py TARGET [FLAGS...]     one target, with libFuzzer's own flags

A target fails on any exception but the one that it is allowed, and on an input that takes five seconds.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SEEDS: dict[str, list[bytes]] = {
    "tables": [b"Epoch\tA\n0\t1.5\n1\tnan\n", b"Epoch A\n0 1\n", b"\xff\xfeE\0\n\0", b"A\tA\n1\t2\nA\tA\n3"],
    "configs": [b'{"a": {"b": [1, NaN]}, "l": "<f at 0x7f>", "a": 1}', b"[1]", b'{"s": "\\ud800"}'],
    "yaml": [b"a: 1\nb: [x, y]\n", b"a: &x [1]\nb: *x\n", b"a: !!python/name:os.system\n"],
    "pickles": [pickle.dumps({"env": [1, 2.5, "x", {1, 2}, (None, True)]}, protocol) for protocol in range(5)],
    "savedmodel": [b"\x08\x01\x12\x10\x0a\x06\x2a\x041.152\x06\x0a\x04serv"],
    "filters": [b"a=1 or (b in (2, 'x') not c:none)", b"a=[1, 2] tag:x"],
}


def targets() -> dict[str, Callable[[bytes], object]]:
    from spindb.disk.configs import ConfigText
    from spindb.disk.environments import environment_in_state
    from spindb.disk.pickles import PickleError
    from spindb.disk.savedmodel import SavedModelError, _shard_sizes, read_signature
    from spindb.disk.tables import read_table
    from spindb.errors import FilterError
    from spindb.index import series
    from spindb.index.filters import parse

    def tables(data: bytes) -> None:
        table = read_table(data)
        for column in table.columns:
            assert len(column.values) == table.rows
            column.summary()
            again = series.decode(series.encode(column.values))
            assert repr(again) == repr([float(v) if isinstance(v, float) else v for v in column.values])

    def configs(data: bytes) -> None:
        for leaf in ConfigText(data).leaves():
            json.loads(leaf.value)

    def pickles(data: bytes) -> None:
        with suppress(PickleError):
            environment_in_state(data)

    def savedmodel(data: bytes) -> None:
        for read in (read_signature, _shard_sizes):
            with suppress(SavedModelError):
                read(data)

    def filters(data: bytes) -> None:
        with suppress(FilterError):
            parse(data.decode("utf-8", "replace"))

    return {
        "tables": tables,
        "configs": configs,
        "yaml": lambda data: ConfigText(data, "config.yml").leaves(),
        "pickles": pickles,
        "savedmodel": savedmodel,
        "filters": filters,
    }


def fuzz_one(name: str, flags: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["spindb"]):
        target = targets()[name]
    atheris.Setup([sys.argv[0], *flags], lambda data: target(data))
    atheris.Fuzz()


def fuzz_all(seconds: int) -> int:
    """Each target in a process of its own; returns how many failed."""
    failed = total = 0
    for name, seeds in SEEDS.items():
        with tempfile.TemporaryDirectory() as place:
            for number, seed in enumerate(seeds):
                Path(place, f"seed{number}").write_bytes(seed)
            flags = [
                f"-max_total_time={seconds}",
                "-timeout=5",
                "-rss_limit_mb=4096",
                f"-artifact_prefix={place}/",
                place,
            ]
            result = subprocess.run(
                [sys.executable, __file__, name, *flags], capture_output=True, text=True, check=False
            )
            done = re.search(r"Done (\d+) runs", result.stderr)
            inputs = int(done[1]) if done else 0
            total += inputs
            if result.returncode:
                failed += 1
                print(result.stderr[-3000:])
            outcome = "FAILED" if result.returncode else "no crash, no hang"
            print(f"{name:<12} {inputs:>10,} inputs in {seconds} s  {outcome}")
    print(f"{'all':<12} {total:>10,} inputs, {failed} targets failed")
    return failed


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in SEEDS:
        fuzz_one(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(fuzz_all(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
