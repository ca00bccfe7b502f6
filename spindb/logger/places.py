"""Where runs are written."""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time
from pathlib import Path

from spindb.errors import NotFoundError
from spindb.preferences import preference

DATA_DIR_VARIABLE = "SPINDB_DATA_DIR"


def data_directory() -> Path:
    """The directory that holds all experiments.

    ``$SPINDB_DATA_DIR``, else what ``spindb config data_dir`` set, else ``./data``.

    Raises:
        UsageError: what was set can't be read.
    """
    return _set() or Path("data")


def data_to_ingest() -> Path:
    """The data directory; where it was not set and ``./data`` is not there, that of an installed Spinning Up.

    Raises:
        NotFoundError: nothing was set, and neither is there; the message lists where it was looked.
        UsageError: what was set can't be read.
    """
    if chosen := _set():
        return chosen
    looked = [Path("data"), *_of_spinning_up()]
    for place in looked:
        if place.is_dir():
            return place
    places = ", ".join(map(str, looked))
    raise NotFoundError(
        f"no directory was named, none is at {places}; ${DATA_DIR_VARIABLE} and spindb config data_dir are not set",
        hint="spindb ingest DATA_DIR; spindb config data_dir DATA_DIR makes it stay",
    )


def _set() -> Path | None:
    chosen = os.environ.get(DATA_DIR_VARIABLE) or preference("data_dir")
    return Path(chosen).expanduser() if chosen else None


def _of_spinning_up() -> list[Path]:
    """Where an installed Spinning Up writes by default: ``data`` beside its package, which is not imported.

    The current directory is no place where packages are installed.
    """
    found = importlib.machinery.PathFinder.find_spec("spinup", [p for p in sys.path if p not in ("", os.getcwd())])
    places = found.submodule_search_locations if found else None
    return [Path(place).parent / "data" for place in places or ()]


def setup_logger_kwargs(
    exp_name: str, seed: int | None = None, data_dir: str | Path | None = None, datestamp: bool = False
) -> dict[str, str]:
    """The arguments that make a logger write to the place that the layout gives a run.

    ``DATA/EXP/EXP_sSEED``, or ``DATA/EXP`` without a seed; with `datestamp`
    ``DATA/YYYY-MM-DD_EXP/YYYY-MM-DD_HH-MM-SS-EXP_sSEED``.
    """
    day = time.strftime("%Y-%m-%d_") if datestamp else ""
    directory = Path(data_dir if data_dir is not None else data_directory()) / f"{day}{exp_name}"
    if seed is not None:
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S-") if datestamp else ""
        directory = directory / f"{stamp}{exp_name}_s{seed}"
    return {"output_dir": str(directory), "exp_name": exp_name}
