"""Where runs are written."""

from __future__ import annotations

import os
import time
from pathlib import Path

DATA_DIR_VARIABLE = "SPINDB_DATA_DIR"


def data_directory() -> Path:
    """The directory that holds all experiments: ``$SPINDB_DATA_DIR``, else ``./data``."""
    return Path(os.environ.get(DATA_DIR_VARIABLE) or "data")


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
