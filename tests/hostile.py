"""Run directories that are out to hang, exhaust or mislead whoever reads them, beside good ones.

`write` puts all of them under a root. Each hostile run differs from a good one in one thing; `HOSTILE` says what, which
problem it must have, and which parts of it must be there all the same.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torchlike

GOOD = 20
CONFIG = {"clip_ratio": 0.2, "pi_lr": 3e-4, "ac_kwargs": {"hidden_sizes": [64, 32]}}
PROGRESS = b"Epoch\tAverageEpRet\n0\t1.5\n1\t2.5\n"
ROWS = 2
LETTERS = "".join(map(chr, range(0x4E00, 0x9E00)))  # text that can't be compressed
LONG = ("exp_name", "env_name", "algo", "seed")
HUGE = 10 << 30  # bytes of a sparse file
PRIME = 2**61 - 1  # Python's hash of a whole number is its rest by this

Put = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """What is hostile about a run: files to write, the problem's code, and whether config and metrics must be read."""

    files: Mapping[str, bytes | Put]
    code: str
    config: bool = True
    metrics: bool = True
    status: str = field(default="ok")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as it:
            it.bind(path.name)
    finally:
        os.chdir(before)


def directory(path: Path) -> None:
    path.mkdir()


def itself(path: Path) -> None:
    path.symlink_to(path.name)


def sparse(begin: bytes = b"") -> Put:
    def put(path: Path) -> None:
        path.write_bytes(begin)
        os.truncate(path, HUGE)

    return put


# Pickles.


def called(argument: bytes) -> bytes:
    """A state whose environment would be made by a call with that argument."""
    return b"\x80\x03}X\x03\x00\x00\x00envcos\nsystem\n(" + argument + b"tRs."


def nested_lists(levels: int = 60) -> bytes:
    """A list that holds the one before twice: few bytes, but 2 to the power of so many when it is written out."""
    return b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(levels))


def dictionary(keys: list[int]) -> bytes:
    def number(key: int) -> bytes:
        raw = key.to_bytes(key.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    return b"\x80\x03}X\x03\x00\x00\x00env}(" + b"".join(number(key) + b"N" for key in keys) + b"us."


def joblib_array(shape: bytes, dtype: bytes = b"X\x02\x00\x00\x00f8") -> bytes:
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\x00\x00\x00shape" + shape
    return b"\x80\x03}X\x03\x00\x00\x00env" + wrapper + b"X\x05\x00\x00\x00dtypecnumpy\ndtype\n(" + dtype + b"tRubs."


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(raw)) + raw


def model_info(names: bytes) -> bytes:
    return b"\x80\x03}(X\x06\x00\x00\x00inputs}X\x07\x00\x00\x00outputs}X\x02\x00\x00\x00pi" + names + b"su."


# SavedModels.


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def saved_model() -> bytes:
    tensor = message(1, b"x") + message(2, message(1, b"Placeholder:0"))
    output = message(1, b"pi") + message(2, message(1, b"pi:0"))
    signature = message(1, b"serving_default") + message(2, message(1, tensor) + message(2, output))
    return b"\x08\x01" + message(2, message(1, message(5, b"1.15.2")) + message(5, signature))


def block(entries: list[tuple[int, bytes, bytes]]) -> bytes:
    inside = b"".join(varint(shared) + varint(len(k)) + varint(len(v)) + k + v for shared, k, v in entries)
    return inside + b"\0\0\0\0" + b"\x01\0\0\0"


def index(handles: list[tuple[int, int]], data: bytes) -> bytes:
    listed = block([(0, b"k", varint(start) + varint(size)) for start, size in handles])
    footer = varint(0) * 2 + varint(len(data)) + varint(len(listed))
    return data + listed + b"\0" + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def save(index_bytes: bytes | Put, name: str = "tf1_save") -> dict[str, bytes | Put]:
    return {f"{name}/saved_model.pb": saved_model(), f"{name}/variables/variables.index": index_bytes}


def one_block(entries: list[tuple[int, bytes, bytes]]) -> tuple[bytes, int]:
    inside = block(entries)
    return inside + b"\0", len(inside)


def twenty_thousand_handles() -> bytes:
    data, size = one_block([(0, b"name%d" % i, b"") for i in range(2000)])
    return index([(0, size)] * 20_000, data)


def names_that_grow() -> bytes:
    data, size = one_block([(0, b"n" * 100_000, b""), *((100_000 + i, b"n", b"") for i in range(50_000))])
    return index([(0, size)], data)


def bomb() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
        archive.writestr("archive/data/0", bytes(1 << 26))
    return into.getvalue()


def endless_list_of_entries() -> bytes:
    data = bytes(9 << 20)
    return b"PK\x03\x04" + data + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(data), 4, 0)


NO_VARIABLES, SIZE = one_block([(0, b"", b"")])
WHOLE = save(index([(0, SIZE)], NO_VARIABLES))
"""A SavedModel without variables."""


# Tables and configs.


def table(header: bytes, row: bytes, rows: int) -> bytes:
    return header + b"\n" + (row + b"\n") * rows


def of_depth(opening: str, closing: str, levels: int) -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


EVERYWHERE = {
    "progress.txt": ({"config": True, "metrics": False, "status": "broken"}, "not-a-regular-file"),
    "config.json": ({"config": False}, "not-a-regular-file"),
    "config.yml": ({}, "not-a-regular-file"),
    "vars.pkl": ({}, "not-a-regular-file"),
    "vars3.pkl.problem": ({}, "not-a-regular-file"),
    "tf1_save/saved_model.pb": ({}, "snapshot-unloadable"),
    "tf1_save/variables/variables.index": ({}, "snapshot-unloadable"),
    "simple_save/model_info.pkl": ({}, "snapshot-unloadable"),
    "pyt_save/model.pt": ({}, "snapshot-unloadable"),
    "pyt_save/vars.pkl": ({}, "not-a-regular-file"),
}
"""Every file that is opened, and what must come of it where it is no file."""


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind, put in (("fifo", fifo), ("zero", zero), ("socket", listening), ("directory", directory)):
        for name, (parts, code) in EVERYWHERE.items():
            if name.startswith("pyt_save") and kind == "directory":
                continue  # a directory of that name is no module
            beside = {"pyt_save/model.pt": torchlike.SMALLEST} if name == "pyt_save/vars.pkl" else {}
            if name.endswith("variables.index"):
                beside = {"tf1_save/saved_model.pb": saved_model()}
            found[f"{kind}-{name.replace('/', '-')}"] = Case({**beside, name: put}, code, **parts)  # type: ignore[arg-type]
    found["zero-shard"] = Case(
        {**save(index([(0, 9)], block([]) + b"\0")), "tf1_save/variables/variables.data-00000-of-00001": zero},
        "snapshot-unloadable",
    )
    state, broken = "state-unreadable", {"config": True, "metrics": False, "status": "broken"}
    for name, data in STATES.items():
        found[f"state-{name}"] = Case({"vars.pkl": data}, state)
    for name, data in CONFIGS.items():
        found[f"config-{name}"] = Case({"config.json": data}, "config-broken", config=False)
    for name, data in YAMLS.items():
        found[f"yaml-{name}"] = Case({"config.yml": data}, "config-broken")
    for name, data in TABLES.items():
        found[f"table-{name}"] = Case({"progress.txt": data}, "too-large", **broken)  # type: ignore[arg-type]
    for name, data in INDEXES.items():
        found[f"index-{name}"] = Case(save(data), "snapshot-unloadable")
    found |= {
        "config-duplicates": Case(
            {
                "config.json": json.dumps(CONFIG).encode()[:-1]
                + b","
                + b",".join(b'"k%d":1,"k%d":2' % (i, i) for i in range(20_000))
                + b"}"
            },
            "config-duplicate-key",
        ),
        "config-leaves": Case(
            {"config.json": json.dumps({**CONFIG, **{f"k{i}": i for i in range(50_000)}}).encode()}, "config-too-large"
        ),
        "config-keys": Case(
            {"config.json": json.dumps({**CONFIG, "k" * 1_000_000: {str(i): i for i in range(100_000)}}).encode()},
            "config-key-too-long",
        ),
        "config-deep-leaf": Case(
            {
                "config.json": b'{"clip_ratio": 0.2, "pi_lr": 3e-4, "ac_kwargs": {"hidden_sizes": [64, 32]}, "deep": '
                + of_depth("[", "]", 400)
                + b', "long": "'
                + b"1" * 500_000
                + b'x"}'
            },
            "",
        ),
        "long-texts": Case(
            {
                "config.json": json.dumps(
                    {**CONFIG, **dict.fromkeys(LONG, "x" * 1_000_000), "k" * 999: LETTERS}, ensure_ascii=False
                ).encode(),
                "progress.txt": f"Epoch\t{LETTERS}\n0\t{LETTERS}\n1\t{LETTERS}\n".encode(),
            },
            "config-text-too-long",
        ),
        "long-column": Case({"progress.txt": f"Epoch\tA{LETTERS}\n0\t1\n1\t2\n".encode()}, "column-name-too-long"),
        "table-carriage-returns": Case({"progress.txt": PROGRESS + b"\r" * 1_000_000 + b"x\n"}, "ragged-row"),
        "table-tensors": Case(
            {"progress.txt": b"Epoch\tA\n0\t<Tensor " + b"numpy=" * 100_000 + b"\n1\t" + b"1," * 300_000 + b"x\n"},
            "text-cells",
        ),
        "table-huge-numbers": Case(
            {"progress.txt": b"Epoch\tA\n0\t" + b"9" * 100_000 + b"\n1\t1e999999\n"}, "text-cells"
        ),
        "names-of-tensors": Case({**WHOLE, "tf1_save/model_info.pkl": model_info(nested_lists())}, "snapshot-odd"),
        "fifo-model-info": Case({**WHOLE, "tf1_save/model_info.pkl": fifo}, "snapshot-odd"),
        "zip-bomb": Case({"pyt_save/model.pt": bomb()}, "snapshot-unloadable"),
        "zip-entries": Case({"pyt_save/model.pt": endless_list_of_entries()}, "snapshot-unloadable"),
        "loop": Case({"tf1_save/loop": lambda path: path.symlink_to(".."), "vars.pkl": itself}, "unreadable-file"),
        "sparse-progress": Case({"progress.txt": sparse(PROGRESS)}, "too-large", **broken),  # type: ignore[arg-type]
        "sparse-config": Case({"config.json": sparse(b"{")}, "too-large", config=False),
        "sparse-yaml": Case({"config.yaml": sparse(b"a: ")}, "too-large"),
        "sparse-state": Case({"vars.pkl": sparse(b"\x80\x03")}, "too-large"),
        "sparse-problem": Case({"vars.pkl.problem": sparse(b"no")}, "too-large"),
        "sparse-graph": Case({"tf1_save/saved_model.pb": sparse(b"\x08\x01")}, "snapshot-unloadable"),
        "sparse-index": Case(save(sparse()), "snapshot-unloadable"),
        "sparse-info": Case({**WHOLE, "tf1_save/model_info.pkl": sparse(b"\x80")}, "snapshot-odd"),
        "sparse-module": Case({"pyt_save/model.pt": sparse(b"PK\x03\x04")}, "snapshot-unloadable"),
    }
    return found


STATES: dict[str, bytes] = {
    "nested-argument": called(nested_lists()),
    "nested-in-a-name": b"\x80\x04}\x8c\x03env" + nested_lists() + b"h\x3ch\x3c\x93s.",
    "nested-callable": b"\x80\x03}X\x03\x00\x00\x00env" + nested_lists() + b")Rs.",
    "nested-dtype": joblib_array(b"K\x01\x85", nested_lists()),
    "shape": joblib_array(b"(" + b"".join(number(2**4000 - i) for i in range(301)) + b"t"),
    "shape-product": joblib_array(b"(" + number(2**31) * 32 + b"t"),
    "colliding-keys": dictionary([i * PRIME for i in range(1, 60_000)]),
    "colliding-memo": b"\x80\x02N" + b"".join(b"p%d\n" % (i * PRIME) for i in range(60_000)) + b".",
    "huge-memo": b"\x80\x02Ng" + b"9" * 5000 + b"\n.",
    "huge-number": b"\x80\x02}X\x03\x00\x00\x00env" + number(2**400_000) + b"s.",
    "levels": b"\x80\x02" + b"]" * 900_000 + b".",
    "tuples": b"\x80\x02}X\x03\x00\x00\x00env" + b")" + b"\x85" * 900_000 + b"s.",
    "arrays-in-arrays": b"\x80\x03" + joblib_array(b"K\x01\x85", b"X\x02\x00\x00\x00O8")[2:-2] * 200,
    "instructions": b"\x80\x02" + b"N0" * 1_500_000 + b"N.",
    "sets": b"\x80\x04" + b"\x8f" * 900_000 + b".",
    "length": b"\x80\x04\x8e" + b"\xff" * 8,
    "frame": b"\x80\x04\x95" + b"\xff" * 8 + b".",
}

CONFIGS: dict[str, bytes] = {
    "deep": b'{"a": ' + of_depth("[", "]", 100_000) + b"}",
    "deep-objects": of_depth('{"a":', "}", 100_000),
    "digits": b'{"a": ' + b"9" * 100_000 + b"}",
    "list": b"[" * 3 + b"]" * 3,
    "cut": b'{"a": "' + b"x" * 1_000_000,
}

YAMLS: dict[str, bytes] = {
    "deep": b"a: " + b"[" * 20_000,
    "deep-maps": b"a: " + b"{b: " * 20_000,
    "aliases": b"a: &a [x]\nb: [*a, *a]\n",
    "objects": b"a: !!python/object/apply:os.system ['true']\n",
    "sexagesimal": b"a: 1" + b":59" * 50_000 + b"\n",
    "empty-int": b"a: !!int ''\n",
    "date": b"a: 2001-99-99\n",
}

TABLES: dict[str, bytes] = {
    "empty-lines": PROGRESS + b"\n" * 2_100_000,
    "columns": b"\t".join(b"c%d" % i for i in range(20_000)) + b"\n",
    "blank-columns": b" ".join(b"c%d" % i for i in range(20_000)) + b"\n",
    "one-line": b"x" * 1_000_000,
    "cells": table(b"a\tb\tc\td\te\tf", b"1\t1\t1\t1\t1\t1", 900_000),
}

INDEXES: dict[str, bytes] = {
    "handles": twenty_thousand_handles(),
    "names": names_that_grow(),
    "overlapping": index([(i, 5000) for i in range(1, 2000)], bytes(10_000)),
    "far-away": index([(2**60, 2**60)], b""),
    "shape": index(
        [(0, len(block([(0, b"w", message(2, b"\x12\x02\x08\x01" * 1000))])))],
        block([(0, b"w", message(2, b"\x12\x02\x08\x01" * 1000))]) + b"\0",
    ),
}


def write(root: Path) -> dict[str, Case]:
    """Write good runs into ``root/good`` and each hostile one into ``root/hostile/NAME``; returns the hostile ones."""
    for number_ in range(GOOD):
        _run(root / "good" / f"good_s{number_}", {})
    found = cases()
    for name, case in found.items():
        _run(root / "hostile" / name, case.files)
    return found


def _run(place: Path, files: Mapping[str, bytes | Put]) -> None:
    place.mkdir(parents=True)
    plain: dict[str, bytes | Put] = {"progress.txt": PROGRESS, "config.json": json.dumps(CONFIG).encode()}
    for name, content in {**plain, **files}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
