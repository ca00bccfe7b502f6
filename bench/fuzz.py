"""Coverage-guided fuzzing of everything that reads bytes from disk (atheris, libFuzzer).

    python bench/fuzz.py [SECONDS]             each target in turn, for that long (default 60)
    python bench/fuzz.py TARGET [FLAGS...]     one target, with libFuzzer's own flags

A target fails on any exception but those that it declares, on a message that is too long or asks to report a defect, on
an input that takes five seconds, and where the process takes more than a gigabyte. Inputs have up to 16 KiB.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

_LENGTH = 1 << 14
_SECONDS = 5
_MEGABYTES = 1024
_SMALL = 4096  # bytes of a seed: larger ones slow libFuzzer down
_MESSAGE = 2000  # characters that a reader may say of one input
_SEPARATOR = b"\xfe\xfe"  # between the files of a run directory
_FILES = (
    *("progress.txt", "config.json", "vars.pkl", "vars.pkl.problem", "config.yml"),
    *("tf1_save/saved_model.pb", "tf1_save/variables/variables.index", "tf1_save/model_info.pkl", "pyt_save/model.pt"),
)


def seeds() -> dict[str, list[bytes]]:
    """Inputs to begin with, by target: valid files, and the hostile ones of the tests."""
    import hostile
    import numpy as np
    import torchlike
    from test_onnx_models import model, node

    small = {name: data for name, data in hostile.STATES.items() if len(data) <= _SMALL}
    small_yamls = [data for data in hostile.YAMLS.values() if len(data) < _SMALL]
    states = [pickle.dumps({"env": [1, 2.5, "x", {1, 2}, (None, True)]}, protocol) for protocol in range(5)]
    states += [hostile.joblib_array(b"(K\x02K\x01t") + bytes(16), hostile.model_info(b"X\x04\x00\x00\x00pi:0")]
    network = torchlike.sequence(torchlike.linear(np.ones((2, 3)), np.ones(2)), torchlike.activation("Tanh"))
    layers = [node("MatMul", ("observation", "w"), "a"), node("Tanh", ("a",), "b"), node("Clip", ("b",))]
    twin = model(layers, {"w": np.ones((3, 2), "f4")})
    index = next(data for name, data in hostile.WHOLE.items() if name.endswith(".index"))
    assert isinstance(index, bytes)
    whole = _SEPARATOR.join(
        (
            hostile.PROGRESS,
            json.dumps(hostile.CONFIG).encode(),
            states[2],
            b"no",
            b"a: 1",
            graph(),
            index,
            b"",
            b"\x80\x02.",
        )
    )
    return {
        "tables": [
            b"Epoch\tA\n0\t1.5\n1\tnan\n",
            b"Epoch A\n0 1\n",
            b"\xff\xfeE\0\n\0",
            b"A\tA\n1\t2\nA\tA\n3",
            b"a,b\n1,2\n",
        ],
        "configs": [
            b'{"a": {"b": [1, NaN]}, "l": "<f at 0x7f>", "a": 1}',
            b"[1]",
            b'{"s": "\\ud800"}',
            b'{"n": "1e400"}',
        ],
        "yaml": [b"a: 1\nb: [x, y]\n", b"a: &x [1]\nb: *x\n", b"a: 1:59:59\n", *small_yamls],
        "pickles": [*states, *small.values()],
        "states": [*states, *small.values()],
        "torch": [torchlike.zipped(network), torchlike.legacy(network)],
        "modules": [torchlike.zipped(torchlike.Network("a.Critic", {"pi": network})), torchlike.legacy(network)],
        "onnx": [twin, model([node("Softmax")])],
        "savedmodel": [hostile.saved_model(), graph()],
        "graphs": [graph(), hostile.saved_model()],
        "index": [index, hostile.INDEXES["far-away"]],
        "runs": [whole],
        "filters": [b"a=1 or (b in (2, 'x') not c:none)", b"a=[1, 2] tag:x"],
    }


def graph() -> bytes:
    """A SavedModel whose graph has a constant and calls a function."""
    from hostile import message

    def attribute(name: bytes, value: bytes) -> bytes:
        return message(5, message(1, name) + message(2, value))

    tensor = b"\x08\x01" + message(2, message(2, b"\x08\x02")) + message(4, bytes(8))
    constant = (
        message(1, b"w")
        + message(2, b"Const")
        + attribute(b"dtype", b"\x30\x01")
        + attribute(b"value", message(8, tensor))
    )
    call = (
        message(1, b"c")
        + message(2, b"PartitionedCall")
        + message(3, b"w")
        + attribute(b"f", message(10, message(1, b"g")))
    )
    inner = message(1, b"t") + message(2, b"Tanh") + message(3, b"x")
    signature = message(1, b"g") + message(2, message(1, b"x")) + message(3, message(1, b"y"))
    function = message(
        1, message(1, signature) + message(3, inner) + message(4, message(1, b"y") + message(2, b"t:y:0"))
    )
    return b"\x08\x01" + message(2, message(2, message(1, constant) + message(1, call) + message(2, function)))


def targets() -> dict[str, Callable[[bytes], object]]:
    import numpy as np

    from spindb.disk.codecs import torchfiles
    from spindb.disk.codecs.graphs import read_graph
    from spindb.disk.codecs.onnx import OnnxError
    from spindb.disk.codecs.pickles import PickleError, read_pickle
    from spindb.disk.codecs.savedmodel import SavedModelError, read_index, read_signature
    from spindb.disk.configs import ConfigText
    from spindb.disk.environments import environment_in_state
    from spindb.disk.extent import check_extent
    from spindb.disk.formats import layout_named, read_run
    from spindb.disk.regular import TooLargeError
    from spindb.disk.saved_state import saved_state
    from spindb.disk.tables import read_table
    from spindb.errors import FilterError, PolicyError
    from spindb.index.database import series
    from spindb.index.query.language import parse
    from spindb.index.write.rows import rows_of
    from spindb.play.policies.onnx_graph import model_in, policy_from
    from spindb.play.policies.torch_mlp import load_torch_by_numpy as load_module
    from spindb.records import SnapshotRecord

    def said(error: Exception) -> None:
        assert 0 < len(str(error)) < _MESSAGE, str(error)[:100]

    def tables(data: bytes) -> None:
        with suppress(TooLargeError):
            check_extent(data)
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
        try:
            read_pickle(data)
        except PickleError as error:
            said(error)

    def states(data: bytes) -> None:
        for read in (environment_in_state, saved_state):
            try:
                read(data)
            except PickleError as error:
                said(error)

    def torch(data: bytes) -> None:
        try:
            torchfiles.read_module(data)
        except PickleError as error:
            said(error)

    def saved(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
        def target(data: bytes) -> None:
            try:
                read(data)
            except SavedModelError as error:
                said(error)

        return target

    def acting(load: Callable[[bytes], Any]) -> Callable[[bytes], None]:
        """What is loaded acts once, where it is a policy."""

        def target(data: bytes) -> None:
            try:
                policy = load(data)
                policy.act(np.zeros((1, *(policy.observation_shape or (3,))), "f4"))
            except (PolicyError, PickleError, OnnxError) as error:
                said(error)

        return target

    memory = Path("/dev/shm")  # noqa: S108 - files in memory are written a hundred times as fast
    place = Path(tempfile.mkdtemp(prefix="fuzz", dir=memory if memory.is_dir() else None))

    def module(data: bytes) -> Any:
        (place / "model.pt").write_bytes(data)
        return load_module(place / "model.pt", SnapshotRecord("pyt_save", "model.pt", None))

    def runs(data: bytes) -> None:
        """Parts of the input as the files of a run directory; what comes of it as rows."""
        run = place / "run"
        shutil.rmtree(run, ignore_errors=True)
        for name, content in zip(_FILES, data.split(_SEPARATOR), strict=False):
            if content or name == "progress.txt":
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                (run / name).write_bytes(content)
        run.mkdir(exist_ok=True)
        record = read_run(layout_named("spinningup"), run, "run")
        rows_of(record, "sqlite")
        rows_of(record, "postgresql")
        for problem in record.problems:
            assert "please report" not in problem.message, problem
            assert len(problem.message) <= _MESSAGE, problem

    def filters(data: bytes) -> None:
        with suppress(FilterError):
            parse(data.decode("utf-8", "replace"))

    return {
        "tables": tables,
        "configs": configs,
        "yaml": lambda data: ConfigText(data, "config.yml").leaves(),
        "pickles": pickles,
        "states": states,
        "torch": torch,
        "modules": acting(module),
        "onnx": acting(lambda data: policy_from(Path("model.onnx"), model_in(Path("model.onnx"), data))),
        "savedmodel": saved(read_signature),
        "graphs": saved(read_graph),
        "index": saved(read_index),
        "runs": runs,
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
    for name, given in seeds().items():
        with tempfile.TemporaryDirectory() as place:
            for number, seed in enumerate(given):
                Path(place, f"seed{number}").write_bytes(seed)
            flags = [
                f"-max_total_time={seconds}",
                f"-timeout={_SECONDS}",
                f"-rss_limit_mb={_MEGABYTES}",
                f"-max_len={_LENGTH}",
                f"-artifact_prefix={place}/",
                place,
            ]
            began = time.monotonic()
            result = subprocess.run(
                [sys.executable, __file__, name, *flags], capture_output=True, text=True, errors="replace", check=False
            )
            took = time.monotonic() - began
            done = re.search(r"Done (\d+) runs", result.stderr)
            inputs = int(done[1]) if done else 0
            total += inputs
            if result.returncode:
                failed += 1
                print(result.stderr[-3000:])
            outcome = "FAILED" if result.returncode else "no crash, no hang"
            print(f"{name:<12} {inputs:>10,} inputs in {took:.0f} s  {outcome}", flush=True)
    print(f"{'all':<12} {total:>10,} inputs, {failed} targets failed")
    return failed


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        fuzz_one(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(fuzz_all(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
