"""Nothing is written through a link into another run's files."""

from __future__ import annotations

import json
import os
import threading
import warnings
from pathlib import Path

import pytest

from spindb.logger import Logger
from spindb.logger.saving import save_state

_KEPT = "Epoch\tPerformance\n0\t1.0\n"


def _logged(logger: Logger) -> None:
    logger.save_config({"seed": 1})
    logger.log_tabular("Epoch", 7)
    logger.dump_tabular()
    logger.close()


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("kept", [_KEPT, "Epoch\tPerformance\n", ""])
def test_7_the_logger_writes_no_table_through_a_link(tmp_path: Path, link: object, kept: str) -> None:
    other, run = tmp_path / "other.txt", tmp_path / "run"
    other.write_text(kept)
    run.mkdir()
    link(other, run / "progress.txt")  # type: ignore[operator]
    with pytest.warns(RuntimeWarning, match="link"):
        logger = Logger(run, quiet=True)
    _logged(logger)
    assert other.read_text() == kept
    assert logger.output_dir == tmp_path / "run.2"
    assert (tmp_path / "run.2" / "progress.txt").read_text() == "Epoch\n7\n"


def test_7_a_link_to_nothing_makes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "progress.txt").symlink_to(tmp_path / "away.txt")
    (tmp_path / "run.2").symlink_to(tmp_path / "nowhere")
    with pytest.warns(RuntimeWarning):
        logger = Logger(tmp_path / "run", quiet=True)
    _logged(logger)
    assert logger.output_dir.name == "run.3"
    assert not (tmp_path / "away.txt").exists()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_7_config_and_state_replace_links(tmp_path: Path, link: object) -> None:
    run = tmp_path / "run"
    logger = Logger(run, quiet=True)
    for name in ("config.json", "vars.pkl", "vars1.pkl.problem"):
        (tmp_path / name).write_text("kept")
        link(tmp_path / name, run / name)  # type: ignore[operator]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _logged(logger)
        assert save_state(run, {"env": 3}, None) is None
        assert save_state(run, {"env": threading.Lock()}, 1) is not None
    for name in ("config.json", "vars.pkl", "vars1.pkl.problem"):
        assert (tmp_path / name).read_text() == "kept"
        assert not (run / name).is_symlink()
        assert (run / name).read_bytes() != b"kept"
    assert json.loads((run / "config.json").read_text()) == {"seed": 1}
    assert len([w for w in said if "was a link to" in str(w.message)]) == (3 if link is os.symlink else 0)


def test_7_a_device_is_replaced_too(tmp_path: Path) -> None:
    logger = Logger(tmp_path / "run", quiet=True)
    (tmp_path / "run" / "config.json").symlink_to("/dev/full")
    with pytest.warns(RuntimeWarning, match="/dev/full"):
        _logged(logger)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"seed": 1}


def test_7_a_saved_module_leaves_what_links_lead_to(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    logger = Logger(tmp_path / "run", quiet=True)
    (tmp_path / "pyt_save").mkdir()
    (tmp_path / "pyt_save" / "model.pt").write_text("kept")
    (tmp_path / "run" / "pyt_save").symlink_to(tmp_path / "pyt_save")
    logger.setup_pytorch_saver(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Tanh()))
    with pytest.warns(RuntimeWarning, match="was a link to"):
        logger.save_state({})
    logger.close()
    assert (tmp_path / "pyt_save" / "model.pt").read_text() == "kept"
    assert (tmp_path / "run" / "pyt_save" / "model.pt").stat().st_size > 100
