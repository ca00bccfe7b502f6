"""Limits on the files of a run directory.

A file beyond a limit is a problem of its run and is not read. Each limit is far above the sizes that training produces,
and low enough that a file at the limit is read within seconds and within the memory of a reading process.
docs/formats.md lists the limits.
"""

from __future__ import annotations

from types import MappingProxyType

_KIB, _MIB = 1 << 10, 1 << 20

# Bytes. In memory a cell or a JSON value takes up to thirty times its length in the file, a YAML node a thousand times:
# so PROGRESS stays below the 2 GiB of a reading process, and YAML has a much lower limit than JSON.
PROGRESS = 64 * _MIB
CONFIG = 8 * _MIB
YAML = 256 * _KIB
STATE = 128 * _MIB  # arrays are skipped, not decoded
STATE_PROBLEM = 64 * _KIB
MODEL_INFO = 1 * _MIB
SAVED_MODEL = 64 * _MIB
VARIABLES_INDEX = 16 * _MIB
SAVE_DIGESTED = 64 * _MIB  # of each file of a saved policy without metrics, to recognise copies
MODULE_PICKLE = 8 * _MIB  # the pickle of a torch.save file, which describes the modules without their values
ZIP_DIRECTORY = 8 * _MIB  # of a torch.save file: an entry of 46 bytes or more per tensor

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

DIRECTORY = 1_000_000  # entries of a directory that is searched for runs
PATH = 1_500  # bytes of a run's path below the ingested directory: it is in an index, see KEY
ENTRIES = 100_000  # of a run directory or a save: far more than any run has files
MESSAGE = 500  # characters of a problem's message: it may contain names and values from files
PROBLEMS = 200  # of one run

# Of policies that are played.
MODULE = 1 << 30  # a torch.save file
ONNX = 1 << 28  # the ONNX twin of a module
VARIABLES_DATA = 1 << 30  # a shard of a SavedModel's variables

# Of a table.
HEADER = 256 * _KIB  # bytes of the first line
COLUMNS = 10_000
LINES = 2_000_000
CELLS = 5_000_000

# Of a config.
LEAVES = 20_000
KEY = 1_000  # bytes of a key with its path, and of a column's name: PostgreSQL index entries have at most 2,704
TEXT = 500  # characters of the name of an experiment, an environment or an algorithm

# Of a pickle. The largest genuine states have a few hundred instructions.
OPCODES = 1_000_000  # of one file, including pickles inside arrays
PICKLES = 20  # nested in each other
DIMENSIONS = 32  # of an array, numpy's own limit before 2.0
ELEMENTS = 1 << 31  # along each of them

# Of a SavedModel.
VARIABLES = 100_000
NAME = 4_096  # bytes of a variable's or node's name
FIELDS = 2_000_000  # of one protocol buffer message
NODES = 200_000  # of a graph after its function calls were inlined
INPUTS = 2_000_000  # of all nodes of a graph together
