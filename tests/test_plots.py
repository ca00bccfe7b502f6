"""Curves, bands and pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import PPO_CONFIG, Outcome, settle

from spindb.analysis.curves import BANDS, ESTIMATORS, align, clean, line, smooth
from spindb.errors import UsageError
from spindb.index.read.curves import RawCurve

NAN = float("nan")


def raw(x: list[float], y: list[float], run_id: int = 1) -> RawCurve:
    return RawCurve(run_id, "m", "x", x, y)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 9, 30])
@pytest.mark.parametrize("length", [1, 2, 5, 8, 20])
def test_smoothing_is_that_of_spinning_up(width: int, length: int) -> None:
    """A centred window whose ones are counted at the edges; written out here from its definition."""
    y = np.random.default_rng(length).normal(size=length)
    left, right = width // 2, (width - 1) // 2
    expected = [y[max(0, i - left) : i + right + 1].mean() for i in range(length)]
    assert smooth(y, width) == pytest.approx(expected)


def test_smoothing_agrees_with_numpys_convolution() -> None:
    y, ones = np.arange(10.0) ** 2, np.ones(5)
    assert smooth(y, 5) == pytest.approx(np.convolve(y, ones, "same") / np.convolve(np.ones(10), ones, "same"))


def test_points_without_numbers_are_left_out_and_equal_places_averaged() -> None:
    x, y = clean(raw([0, 1, 2, NAN, 3], [5, NAN, 7, 8, 9]))
    assert (x.tolist(), y.tolist()) == ([0, 2, 3], [5, 7, 9])
    x, y = clean(raw([1, 0, 1, 2], [4, 1, 6, 3]))
    assert (x.tolist(), y.tolist()) == ([0, 1, 2], [1, 5, 3])


def test_equal_grids_stay_and_others_meet_without_extrapolation() -> None:
    grid, values = align([(np.array([0.0, 1]), np.array([1.0, 2])), (np.array([0.0, 1]), np.array([3.0, 4]))])
    assert grid.tolist() == [0, 1]
    assert values.tolist() == [[1, 2], [3, 4]]
    grid, values = align([(np.array([0.0, 2]), np.array([0.0, 2])), (np.array([1.0, 4]), np.array([10.0, 40]))])
    assert grid.tolist() == [0, 1, 2, 4]
    assert values[0, :3].tolist() == [0, 1, 2]
    assert np.isnan(values[0, 3])
    assert np.isnan(values[1, 0])
    assert values[1, 1:].tolist() == [10, 20, 40]
    grid, _ = align([(np.arange(3000.0), np.ones(3000)), (np.arange(2000.0) + 0.5, np.ones(2000))])
    assert len(grid) == 1000


def test_n_counts_the_runs_at_each_point() -> None:
    found = line("a", [raw([0, 1, 2], [0, 2, 4]), raw([0, 1], [2, 4])])
    assert found is not None
    assert found.n.tolist() == [2, 2, 1]
    assert found.y.tolist() == [1, 3, 4]
    assert found.low is not None
    assert np.isnan(found.low).tolist() == [False, False, True]
    assert line("a", [raw([NAN], [1])]) is None
    single = line("a", [raw([0, 1], [0, 2])])
    assert single is not None
    assert single.low is None


@pytest.mark.parametrize("band", BANDS)
def test_bands(band: str) -> None:
    from scipy import stats

    values = np.array([[1.0, 5], [2.0, 6], [6.0, 10]])
    found = line("a", [raw([0, 1], row.tolist()) for row in values], band=band)
    assert found is not None
    mean, std = values.mean(axis=0), values.std(axis=0, ddof=1)
    expected = {
        "t": (stats.t.interval(0.95, 2, mean, std / np.sqrt(3))),
        "std": (mean - std, mean + std),
        "se": (mean - std / np.sqrt(3), mean + std / np.sqrt(3)),
        "minmax": (values.min(axis=0), values.max(axis=0)),
    }
    if band == "none":
        assert found.low is None
    elif band == "bootstrap":
        assert found.low is not None
        assert found.high is not None
        assert (found.low >= values.min(axis=0)).all()
        assert (found.high <= values.max(axis=0)).all()
        assert (found.low < mean).all()
    else:
        assert found.low == pytest.approx(expected[band][0])
        assert found.high == pytest.approx(expected[band][1])


@pytest.mark.parametrize(("estimator", "expected"), [("mean", 3), ("median", 2), ("iqm", 3), ("max", 6), ("min", 1)])
def test_estimators(estimator: str, expected: float) -> None:
    found = line("a", [raw([0], [value]) for value in (1.0, 2.0, 6.0)], estimator, "none")
    assert found is not None
    assert found.y == pytest.approx([expected])


def test_bands_of_the_mean_are_refused_for_others() -> None:
    with pytest.raises(UsageError, match="is a band of the mean"):
        line("a", [], "median", "t")
    with pytest.raises(UsageError, match="unknown estimator"):
        line("a", [], "mode")
    with pytest.raises(UsageError, match="unknown band"):
        line("a", [], "mean", "wide")
    assert set(ESTIMATORS) == {"mean", "median", "iqm", "max", "min"}


@pytest.fixture
def study(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two learning rates of three seeds in two environments; one run ended early, one has only NaN."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    header = ("Epoch", "AverageEpRet", "Entropy", "TotalEnvInteracts")
    for number in range(12):
        env, rate, seed = ("CartPole-v1", "Pendulum-v1")[number // 6], (1e-2, 1e-4)[number // 3 % 2], number % 3
        config = PPO_CONFIG | {"seed": seed, "pi_lr": rate, "env": env}
        epochs = 3 if number == 2 else 6
        rows = [(e, "nan" if number == 4 else e * (number + 1.0), 1 / (e + 1), 1000 * (e + 1)) for e in range(epochs)]
        run_directory(f"r{number // 3}_s{seed}", config=config, header=header, rows=rows)
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path


def texts(path: Path) -> list[str]:
    """All words of an SVG."""
    return ["".join(node.itertext()).strip() for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


def test_the_legend_says_what_is_drawn(study: Path, cli: Callable[..., Outcome]) -> None:
    outcome = cli("plot", "env=CartPole-v1", "--out", "a.svg")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "1 run not drawn: no point of Performance over steps\nwritten to a.svg\n"
    words = texts(Path("a.svg"))
    assert "pi_lr=0.01  (n=3, 2 at the end)" in words
    assert "pi_lr=0.0001  (n=2)" in words
    assert "mean over runs, band: 95 % t-interval; thin where fewer runs are there" in words
    assert {"AverageEpRet", "TotalEnvInteracts"} <= set(words)


def test_two_lines_of_one_name_are_refused(study: Path, cli: Callable[..., Outcome]) -> None:
    outcome = cli("plot", "env=CartPole-v1", "-l", "a", "-l", "a", "--out", "a.svg")
    assert outcome.code == 2
    assert "two lines can't have one name in the legend" in outcome.err
    assert not Path("a.svg").exists()


def test_panels_and_flags(study: Path, cli: Callable[..., Outcome]) -> None:
    arguments = ("--value", "Performance", "--value", "Entropy", "--facet", "env", "--xaxis", "Epoch")
    assert cli("plot", *arguments, "--band", "std", "--smooth", "3", "--logy", "--out", "b.svg").code == 0
    words = texts(Path("b.svg"))
    assert words.count("env=CartPole-v1") == words.count("env=Pendulum-v1") == 2
    assert words.count("Epoch") == 4
    assert "mean over runs, band: std, smoothed over 3 points; thin where fewer runs are there" in words
    assert cli("plot", "env=CartPole-v1", "--count", "--out", "c.svg").code == 0
    assert "r0_s1  (n=1)" in texts(Path("c.svg"))
    assert (
        cli("plot", "env=Pendulum-v1", "--est", "max", "--legend", "fast", "--legend", "slow", "-o", "d.svg").code == 0
    )
    words = texts(Path("d.svg"))
    assert "slow  (n=3)" in words
    assert "max over runs" in words
    assert cli("plot", "--select", "r0", "--exclude", "s1", "--count", "-o", "e.svg").code == 0
    assert [word for word in texts(Path("e.svg")) if word.startswith("r")] == ["r0_s0  (n=1)", "r0_s2  (n=1)"]


def test_settings_that_look_alike_are_not_one_line(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for number, rate in enumerate((0.12345678, 0.12345679)):
        run_directory(f"r{number}", config=PPO_CONFIG | {"pi_lr": rate})
    settle(tmp_path)
    cli("ingest", "data")
    assert cli("plot", "--out", "a.svg").code == 0
    lines = [word for word in texts(Path("a.svg")) if word.startswith("pi_lr")]
    assert lines == ["pi_lr=0.12345678  (n=1)", "pi_lr=0.12345679  (n=1)"]


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures(study: Path, cli: Callable[..., Outcome], suffix: str, begins: bytes) -> None:
    for name, arguments in {
        "curves": (),
        "numbers": ("--scatter", "pi_lr"),
        "words": ("--scatter", "env", "--summary", "max"),
        "parallel": ("--parallel", "pi_lr,env,hidden_sizes"),
    }.items():
        path = Path(f"{name}.{suffix}")
        assert cli("plot", *arguments, "--out", path).code == 0
        assert path.read_bytes().startswith(begins)


def test_equal_data_equal_svg(study: Path, cli: Callable[..., Outcome]) -> None:
    for name in ("one.svg", "two.svg"):
        cli("plot", "--out", name)
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


def test_sizes(study: Path, cli: Callable[..., Outcome]) -> None:
    assert cli("plot", "--size", "5x4", "--dpi", "100", "--out", "f.png").code == 0
    data = Path("f.png").read_bytes()
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (500, 400)
    for size in ("5", "0x4", "5x4000", "axb"):
        assert cli("plot", "--size", size, "--out", "g.png").code == 2


def test_without_a_display_curves_are_text(
    study: Path, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = cli("plot", "env=CartPole-v1")
    assert "AverageEpRet over TotalEnvInteracts" in outcome.out
    assert "pi_lr=0.01 (n=3, 2 at the end)" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, cli("plot", "--terminal", "--logx").out.splitlines())) <= 70
    assert cli("plot", "--scatter", "pi_lr").code == 2


@pytest.mark.parametrize(
    "finals", [(1.7e308, -1.7e308), (1e308, -1e307), (1.7e308, 1.6e308), (5e-324, 0.0), (1e200, 1.0), (3e-200, 1e-200)]
)
def test_n15_numbers_at_the_ends_of_all_doubles_are_drawn_as_text(
    finals: tuple[float, float],
    run_directory: Callable[..., Path],
    cli: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, final in enumerate(finals):
        run_directory(f"r{number}", config={"env": "Ant-v2", "lr": number}, rows=[(0, 0.0), (1, final)])
    cli("ingest", "data")
    outcome = cli("plot", "-t")
    assert outcome.code == 0, outcome.err
    assert "[in units of 1e" in outcome.out


def test_without_a_toolkit_that_is_said(
    study: Path, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    monkeypatch.setenv("DISPLAY", ":99")
    pyplot.switch_backend("agg")
    outcome = cli("plot")
    assert outcome.code == 2
    assert "no toolkit for windows" in outcome.err
    pyplot.close("all")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("id=-1",), 3, "nothing to draw"),
        (("--value", "AvgEpRet"), 2, "did you mean"),
        (("--xaxis", "Epochs"), 2, "did you mean"),
        (("--facet", "nonsense"), 2, "nothing here is called"),
        (("--legend", "one"), 2, "1 names in the legend for 4 lines"),
        (("--est", "mode"), 2, "'mode' is not one of"),
        (("--est", "median", "--band", "se"), 2, "is a band of the mean"),
        (("--scatter", "pi_lr", "--parallel", "pi_lr"), 2, "exclude each other"),
        (("--scatter", "pi_lr", "--summary", "reach:1e9"), 2, "nothing to draw"),
        (("--out", "picture.doc"), 2, "no suffix of an image format"),
        (("--out", "nowhere/a.png"), 2, "can't be written"),
        (("id=5",), 2, "nothing to draw"),
    ],
)
def test_what_can_not_be_drawn(
    study: Path, cli: Callable[..., Outcome], arguments: tuple[str, ...], code: int, words: str
) -> None:
    outcome = cli("plot", "--out", "x.png", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert not Path("x.png").exists()


def test_numbers_on_axes() -> None:
    from spindb.analysis.drawing.plots import axis_number

    assert [axis_number(v, 3e4) for v in (0, 5000, 3e4)] == ["0", "5k", "30k"]
    assert [axis_number(v) for v in (350.0, 0.001, 2e6, -2.5e9)] == ["350", "0.001", "2M", "-2.5G"]


@pytest.mark.parametrize(("lines", "signs"), [(1, False), (2, True), (9, False)])
def test_lines_are_told_apart_by_signs_without_colours(lines: int, signs: bool) -> None:
    from spindb.analysis.curves import Line
    from spindb.analysis.drawing.panels import Panel
    from spindb.analysis.drawing.terminal import draw

    x = np.arange(3.0)
    some = tuple(Line(f"w{i}", x, x + i, None, None, np.ones(3)) for i in range(lines))
    for colours in (False, True):
        drawn = draw([Panel("", "steps", "return", some)], "mean", width=80, colours=colours)
        braille = any("\u2800" < sign <= "\u28ff" for sign in drawn)
        assert braille == (colours or not signs)


def test_terminals_say_how_many_runs_are_there_at_the_end() -> None:
    from spindb.analysis.curves import Line
    from spindb.analysis.drawing.panels import Panel
    from spindb.analysis.drawing.terminal import draw

    x = np.arange(3.0)
    line = Line("w", x, x, None, None, np.array([6.0, 6.0, 3.0]))
    assert "w (n=6, 3 at the end)" in draw([Panel("", "steps", "return", (line,))], "mean", width=80, colours=False)
