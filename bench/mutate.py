"""Breaks single places of the code and counts how many of the breakages no test notices.

    python bench/mutate.py [--seed 13] [--count 300] [--only PATH ...] [--tests PATH ...] [--slow] [--lenient]

Works on copies in a temporary directory; the checkout stays as it is. First all tests run once, and coverage.py notes
which test executes which line. Then for each mutation (see `mutations.py`) those tests run that execute the changed
statement, the fastest files first, until one fails. Statements outside of functions run when a module is imported:
there the tests of the module run first, then a minute of others. What no test executes survives, and so does what only
processes execute that tests start. A mutation is noticed, too, where it makes a test take ten times as long and ten
seconds (--patience). In the end the tests that noticed something run without any mutation: they have to pass.

Each entry of `tests/equivalent_mutants.toml` names a mutation that changes nothing that could be noticed, and why.

Exit status: 0; 1 where more than 10 % survive or more than 5 % are called equivalent; 2 where the tests fail by
themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData
from mutations import Mutant, mutants

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

MOST_SURVIVORS, MOST_EQUIVALENT = 0.10, 0.05
_PACKAGES = ("spindb/disk", "spindb/index", "spindb/analysis", "spindb/play/policies")
_WARM = ("numpy", "scipy.stats", "pandas", "pyarrow", "matplotlib.pyplot", "sqlalchemy.dialects.sqlite")
_WARM += ("alembic.command", "typer", "rich.console", "yaml", "orjson", "psycopg", "joblib", "gym", "gymnasium")
_QUIET = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", "--color=no")
_MEMORY = 8 << 30
_A_MINUTE = 60.0
_NOTHING_RAN = int(pytest.ExitCode.NO_TESTS_COLLECTED) << 8


@dataclass
class Trial:
    """A mutation on its way: the text before and after, the tests to run, and what came of it."""

    mutant: Mutant
    original: bytes
    data: bytes
    tests: list[str] = field(default_factory=list)
    killer: str | None = None
    """The test that noticed it."""


class Recording:
    """How long each test takes without a mutation, and what it executes."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        """The least limit of a test in seconds."""
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By file and line: the tests that execute it."""

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that may notice it, in the order in which they run."""
        lines = self.lines[mutant.file]
        first, last = mutant.statement
        wanted = range(first, last + 1) if mutant.function else list(lines)
        near = {test for line in wanted for test in lines.get(line, ())}
        return self._sorted(near) + ([] if mutant.function else self._first(self.seconds.keys() - near))

    def _first(self, tests: set[str]) -> list[str]:
        """As many as take a minute together."""
        total, found = 0.0, []
        for test in self._sorted(tests):
            total += self.seconds[test]
            if total > _A_MINUTE:
                break
            found.append(test)
        return found

    def leave_out(self, test: str) -> None:
        """Never run this test."""
        del self.seconds[test]
        for lines in self.lines.values():
            for tests in lines.values():
                tests.discard(test)

    def _sorted(self, tests: set[str]) -> list[str]:
        """By files, the fastest first; in each as they are written, since they share fixtures."""
        files: dict[str, list[str]] = defaultdict(list)
        for test in self.seconds:
            if test in tests:
                files[test.partition("::")[0]].append(test)
        mean = {file: sum(self.seconds[t] for t in of) / len(of) for file, of in files.items()}
        return [test for file in sorted(files, key=mean.__getitem__) for test in files[file]]


class _Recorder:
    """A plugin of pytest: of each `parts`th file of tests, how long they take, what they execute, which fail."""

    def __init__(self, part: int, parts: int, note: Path) -> None:
        self.part, self.parts, self.note = part, parts, note
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []
        self.coverage = Coverage(data_file=str(note.with_name("coverage")), config_file=str(note.with_name("rc")))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        files = list(dict.fromkeys(item.path for item in items))
        items[:] = [item for item in items if files.index(item.path) % self.parts == self.part]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtest_logfinish(self) -> None:
        self.coverage.switch_context("")

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.coverage.save()
        self.note.write_text(json.dumps([self.seconds, self.failed]))


class _Chosen:
    """A plugin of pytest: runs certain tests in a certain order, each for a limited time; notes the last one."""

    def __init__(self, tests: Sequence[str], recording: Recording, note: Path) -> None:
        self.place = {test: number for number, test in enumerate(tests)}
        self.recording, self.note = recording, note

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.note.write_text(nodeid)
        signal.alarm(self.recording.patience + int(10 * self.recording.seconds[nodeid]))  # ends the process

    def pytest_runtest_logfinish(self) -> None:
        signal.alarm(0)


class Tree:
    """A copy of the repository in which one mutation at a time is tried."""

    def __init__(self, repository: Path, place: Path) -> None:
        self.place, self.tmp, self.note = place, place.with_name(f"{place.name}-tmp"), place / "note"
        shutil.copytree(repository, place, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        (place / "rc").write_text("[run]\nsource = spindb\nrelative_files = true\n")

    def start(self, arguments: Sequence[str], plugin: _Recorder | _Chosen) -> int:
        """Run pytest in a fork that has imported the libraries already; returns its process id."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir(mode=0o755)
        process = os.fork()
        if process == 0:
            with suppress(BaseException):
                os.setsid()
                os.chdir(self.place)
                output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
                    os.dup2(descriptor, target)
                os.environ.update(PYTHONPATH=str(self.place), TMPDIR=str(self.tmp))
                tempfile.tempdir = None
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # nohup and shells ignore some
                    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
                sys.path.insert(0, str(self.place))
                resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                if isinstance(plugin, _Recorder):
                    plugin.coverage.start()
                code = pytest.main([*_QUIET, "--basetemp", str(self.tmp / "pytest"), *arguments], plugins=[plugin])
                os._exit(int(code))
            os._exit(99)
        return process

    def try_tests(self, tests: Sequence[str], recording: Recording) -> int:
        """Run certain tests until one fails; returns the process id."""
        self.note.unlink(missing_ok=True)
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        return self.start(["-x", *files], _Chosen(tests, recording, self.note))

    def change(self, trial: Trial) -> None:
        """Put the mutation in. The file's time differs from the one that its compiled module knows."""
        path = self.place / trial.mutant.file
        self.times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(trial.data)

    def restore(self, trial: Trial) -> None:
        """The file as it was, with its time."""
        path = self.place / trial.mutant.file
        path.write_bytes(trial.original)
        os.utime(path, ns=self.times)


def draw(repository: Path, only: Sequence[str], seed: int, count: int) -> tuple[int, list[Trial]]:
    """How many mutations there are, and the sample."""
    places = [repository / name for name in only]
    files = {path for place in places for path in ([place] if place.is_file() else place.rglob("*.py"))}
    texts = {str(path.relative_to(repository)): path.read_bytes() for path in sorted(files)}
    everything = [mutant for file, data in texts.items() for mutant in mutants(file, data)]
    drawn: list[Trial] = []
    for mutant in sorted(everything, key=lambda it: it.rank(seed)):
        if len(drawn) == count:
            break
        data = mutant.applied(texts[mutant.file])
        if data is not None:
            drawn.append(Trial(mutant, texts[mutant.file], data))
    return len(everything), drawn


def warm() -> None:
    """Import what the tests import, once for all forks; let hypothesis draw the same in each."""
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        for name in _WARM:
            with suppress(ImportError):
                import_module(name)
    with suppress(ImportError):
        from hypothesis import settings

        settings.register_profile("mutate", derandomize=True, database=None, deadline=None)
        settings.load_profile("mutate")


def record(trees: Sequence[Tree], arguments: Sequence[str], patience: int, *, lenient: bool) -> Recording:
    """Run all tests, shared among the trees, and see what they execute; exits where some fail, unless `lenient`."""
    plugins = [_Recorder(number, len(trees), tree.note) for number, tree in enumerate(trees)]
    processes = [tree.start(arguments, plugin) for tree, plugin in zip(trees, plugins, strict=True)]
    recording, failed = Recording(patience), []
    for tree, process in zip(trees, processes, strict=True):
        status = _end(process)
        if not tree.note.exists() or (status not in (0, _NOTHING_RAN) and not lenient):
            print((tree.place / "output").read_text()[-20_000:], file=sys.stderr)
            print("the tests fail without any mutation", file=sys.stderr)
            raise SystemExit(2)
        seconds, failing = json.loads(tree.note.read_text())
        recording.seconds.update(seconds)
        failed += failing
        data = CoverageData(str(tree.place / "coverage"))
        data.read()
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                recording.lines[file][line] |= {context for context in contexts if context}
    for test in dict.fromkeys(failed):
        print(f"left out, since it fails without any mutation: {test}")
        recording.leave_out(test)
    return recording


def run_all(trials: Sequence[Trial], trees: Sequence[Tree], recording: Recording) -> None:
    """Try each mutation, as many at once as there are trees."""
    waiting, free, running = list(trials[::-1]), list(trees), {}
    begun = time.monotonic()
    try:
        while waiting or running:
            while waiting and free:
                trial, tree = waiting.pop(), free.pop()
                tree.change(trial)
                limit = time.monotonic() + 60 + 5 * sum(recording.seconds[test] for test in trial.tests)
                running[tree.try_tests(trial.tests, recording)] = trial, tree, limit
            time.sleep(0.02)
            for process, (trial, tree, limit) in list(running.items()):
                ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                late = time.monotonic() > limit
                if ended is None and not late:
                    continue
                if _end(process, now=True) not in (0, _NOTHING_RAN) or late:
                    trial.killer = tree.note.read_text() if tree.note.exists() else "import"
                else:
                    print(f"survived {trial.mutant.file}:{trial.mutant.line}  {trial.mutant.mutated}", file=sys.stderr)
                tree.restore(trial)
                free.append(tree)
                del running[process]
                done = len(trials) - len(waiting) - len(running)
                if done % 20 == 0:
                    print(f"{done} of {len(trials)} after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    finally:
        for process in running:
            _end(process, now=True)


def _end(process: int, *, now: bool = False) -> int:
    """Wait for the end of a fork; end what it has started, and itself where it has to end now; its status."""
    if not now:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def believable(trials: Sequence[Trial], tree: Tree, recording: Recording) -> bool:
    """Whether the tests that noticed mutations pass without one."""
    killers = {trial.killer for trial in trials}
    status = _end(tree.try_tests([test for test in recording.seconds if test in killers], recording))
    if status not in (0, _NOTHING_RAN):
        print((tree.place / "output").read_text()[-20_000:], file=sys.stderr)
        print("a test that noticed mutations fails without any, too", file=sys.stderr)
    return status in (0, _NOTHING_RAN)


def report(trials: Sequence[Trial], equivalents: Path) -> int:
    """Print what survived and the figures; returns the exit status."""
    entries = tomllib.loads(equivalents.read_text())["mutant"] if equivalents.exists() else []
    reasons = {(it["file"], it["original"], it["mutated"]): it["reason"] for it in entries}
    survivors, equivalent = [], []
    for trial in sorted(trials, key=lambda it: (it.mutant.file, it.mutant.line)):
        mutant = trial.mutant
        known = (mutant.file, mutant.original, mutant.mutated) in reasons
        if trial.killer is None:
            (equivalent if known else survivors).append(trial)
        elif known:
            print(f"{mutant.file}:{mutant.line} is called equivalent, but {trial.killer} notices it")
    for trial in survivors:
        ran = f"{len(trial.tests)} tests ran" if trial.tests else "no test executes it"
        print(f"survived  {trial.mutant.file}:{trial.mutant.line}  ({ran})")
        print(f"  - {trial.mutant.original}\n  + {trial.mutant.mutated}")
    counted = len(trials) - len(equivalent)
    share = len(survivors) / max(counted, 1)
    figures = f"{counted - len(survivors)} killed, {len(survivors)} survived, {len(equivalent)} equivalent"
    print(f"{figures}: {share:.1%} survive")
    return int(share > MOST_SURVIVORS or len(equivalent) > MOST_EQUIVALENT * len(trials))


def main() -> int:
    parser = argparse.ArgumentParser(description="Breaks single places and counts the breakages that no test notices.")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", default=_PACKAGES, metavar="PATH", help="files or folders to break")
    parser.add_argument("--tests", nargs="+", default=(), metavar="PATH", help="files of tests to run, if not all")
    parser.add_argument("--patience", type=int, default=10, metavar="SECONDS", help="that every test may take")
    parser.add_argument("--slow", action="store_true", help="run the slow tests, too")
    parser.add_argument("--lenient", action="store_true", help="leave out tests that fail without any mutation")
    parser.add_argument("--repository", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args()
    repository = options.repository.resolve()
    total, trials = draw(repository, options.only, options.seed, options.count)
    print(f"seed {options.seed}: {len(trials)} of {total} mutations of {', '.join(options.only)}", flush=True)
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    warm()
    with tempfile.TemporaryDirectory(prefix="spindb-mutate-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as nobody where the tests run as root
        trees = [Tree(repository, Path(directory) / str(number)) for number in range(options.jobs)]
        marker = "" if options.slow else "not slow"
        arguments = ["-m", marker, *options.tests]
        recording = record(trees, arguments, options.patience, lenient=options.lenient)
        print(f"{len(recording.seconds)} tests take {sum(recording.seconds.values()):.0f} s", flush=True)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for trial in trials:
            trial.tests = recording.tests_of(trial.mutant)
        run_all([trial for trial in trials if trial.tests], trees, recording)
        if not believable(trials, trees[0], recording):
            return 2
    return report(trials, repository / "tests" / "equivalent_mutants.toml")


if __name__ == "__main__":
    sys.exit(main())
