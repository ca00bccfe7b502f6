"""Limits on what is read from a run directory.

A file beyond a limit is a problem of its run and is not read. Each limit lies well above what training writes
and low enough that a file at the limit is read within seconds and within the memory of a reading process.
docs/formats.md lists them.
"""

from __future__ import annotations

from types import MappingProxyType

_KIB, _MIB = 1 << 10, 1 << 20

# Bytes. A cell or a JSON value takes up to thirty times its length once it is read; a YAML node a thousand times.
PROGRESS = 64 * _MIB
CONFIG = 8 * _MIB
YAML = 256 * _KIB
STATE = 128 * _MIB  # arrays are stepped over, not decoded
STATE_PROBLEM = 64 * _KIB
MODEL_INFO = 1 * _MIB
SAVED_MODEL = 64 * _MIB
VARIABLES_INDEX = 16 * _MIB
SAVE_DIGESTED = 64 * _MIB  # of each file of a saved policy without metrics, by which its copies are known
MODULE_PICKLE = 8 * _MIB  # what describes the modules of a file of torch.save, without their values
ZIP_DIRECTORY = 8 * _MIB  # of a file of torch.save: one entry of 46 bytes or more for each tensor

BYTES = MappingProxyType(
    {
        "progress.txt": PROGRESS,
        "config.json": CONFIG,
        "full-config.json": CONFIG,
        "config.yml": YAML,
        "config.yaml": YAML,
    }
)
"""The limit of each text file of a run directory, by its name."""

DIRECTORY = 1_000_000  # entries of any directory that runs are looked for in
PATH = 1_500  # bytes of a run's path below what is ingested
ENTRIES = 100_000  # of a run directory or a save: more names than any run has files
MESSAGE = 500  # characters of a problem's message: names and values in it come from files
PROBLEMS = 200  # of one run

# Of policies that are played.
MODULE = 1 << 30  # a file of torch.save
ONNX = 1 << 28  # an ONNX twin beside one
VARIABLES_DATA = 1 << 30  # a shard of a SavedModel's variables

# Of a table.
HEADER = 256 * _KIB  # bytes of the first line
COLUMNS = 10_000
LINES = 2_000_000
CELLS = 5_000_000

# Of a config.
LEAVES = 20_000
KEY = 1_000  # bytes of a key with the path to it, and of a column's name: databases have indexes of them
TEXT = 500  # characters of the name of an experiment, an environment or an algorithm

# Of a pickle. The largest genuine states have some hundred instructions.
OPCODES = 1_000_000  # of one file, pickles inside arrays included
PICKLES = 20  # inside each other
DIMENSIONS = 32  # of an array, as numpy has it
ELEMENTS = 1 << 31  # along each of them

# Of a SavedModel.
VARIABLES = 100_000
NAME = 4_096  # bytes of a variable's or node's name
FIELDS = 2_000_000  # of one protocol buffer message
NODES = 200_000  # of a graph, with the functions that it calls put where they are called
INPUTS = 2_000_000  # of all nodes of a graph together
