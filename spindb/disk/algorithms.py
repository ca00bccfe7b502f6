"""The algorithm of a run, its evidence, and contradicting evidence.

Evidence in decreasing order of certainty: the config's value, the config's keys, the class of the saved module, the
outputs of the saved graph, the columns of the table, the name. The first that names exactly one algorithm is used;
evidence for another algorithm is a contradiction.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from spindb.disk.configs import ConfiguredAlgorithm, algorithm
from spindb.disk.regular import open_regular
from spindb.records import MetricSeries, SnapshotRecord, names_of

_MOST = 1 << 16  # bytes of a module's pickle that are searched for its class
_PICKLES_BEFORE = 3  # before the object in the container before PyTorch 1.6: magic number, version, system

_OWN_KEYS = {"trpo", "ppo", "td3"}  # identified by a config key that no other algorithm has
_ON_POLICY, _OFF_POLICY = frozenset({"vpg", "ppo", "trpo"}), frozenset({"ddpg", "td3", "sac"})
_ORIGINAL = _ON_POLICY | _OFF_POLICY
# The outputs that Spinning Up's algorithms save, as documented in its manual. VPG, TRPO and PPO save the same ones.
_BY_OUTPUTS: Mapping[frozenset[str], frozenset[str]] = {
    frozenset({"pi", "v"}): _ON_POLICY,
    frozenset({"pi", "q"}): frozenset({"ddpg"}),
    frozenset({"pi", "q1", "q2"}): frozenset({"td3"}),
    frozenset({"mu", "pi", "q1", "q2"}): frozenset({"sac"}),
    frozenset({"mu", "pi", "q1", "q2", "v"}): frozenset({"sac"}),
}
# Required columns, excluded columns, algorithm; tested in this order. PPO and TRPO also log VPG's columns, so they have
# columns of their own here and VPG excludes those.
_BY_COLUMNS: tuple[tuple[set[str], set[str], str], ...] = (
    ({"clipfrac"}, set(), "ppo"),
    ({"backtrackiters"}, set(), "trpo"),
    ({"q1vals", "q2vals", "logpi"}, set(), "sac"),
    ({"lossq1", "lossq2", "logpi"}, set(), "sac"),
    ({"q1vals", "q2vals", "losspi", "lossq"}, {"logpi", "alpha"}, "td3"),
    ({"qvals", "losspi", "lossq"}, {"q1vals", "logpi", "alpha"}, "ddpg"),
    ({"deltalosspi", "deltalossv", "entropy", "kl"}, {"clipfrac", "backtrackiters"}, "vpg"),
)
_NAMES = """
vpg ppo trpo ddpg td3 sac dqn ddqn c51 qrdqn iqn rainbow a2c a3c acktr acer reinforce impala redq drq droq cql iql bcq
awac awr mpo vmpo svpg gpo npg cpo pcpo focops rcpo tqc ppg d4pg maddpg mappo matd3 masac qmix naf mbpo dreamer td7 sacd
dsac crr sarsa ppo1 ppo2
"""
_KNOWN = frozenset(_NAMES.split())
_SAME = {"ppo1": "ppo", "ppo2": "ppo"}
# Word boundaries in CamelCase: before a capital after a lower-case letter, and before the last capital of an
# acronym.
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")


class Evidence(NamedTuple):
    """Evidence for algorithms: ``source`` is stored with the run, ``told`` is its description for messages."""

    source: str
    algos: frozenset[str]
    told: str


class FoundAlgorithm(NamedTuple):
    """The algorithm, the source of the evidence, and a description of contradicting evidence."""

    algo: str | None = None
    source: str | None = None
    contradiction: str | None = None


def in_config(values: Mapping[str, Any]) -> Evidence | None:
    """The algorithm by the config's value, or by its keys."""
    return _evidence(algorithm(values))


@lru_cache(maxsize=64)
def _evidence(found: ConfiguredAlgorithm) -> Evidence | None:
    if found.algo is None:
        return None
    keys = ", ".join(found.keys)
    if found.source == "config":
        return Evidence("config", frozenset({_plain(found.algo)}), f"the config ({keys})")
    return Evidence("config keys", frozenset({found.algo}), f"the config's keys ({keys})")


def judge(
    configured: Evidence | None,
    snapshot: SnapshotRecord | None,
    directory: Path,
    columns: Sequence[MetricSeries],
    names: Sequence[str],
) -> FoundAlgorithm:
    """The algorithm of a run.

    Args:
        configured: evidence from its config.
        snapshot: a snapshot that belongs to this run.
        directory: the run's directory.
        columns: its metrics.
        names: its own name and its experiment's.
    """
    # If the config names the algorithm, the class of the module adds nothing, and its file need not be opened.
    outright = configured is not None and configured.source == "config"
    return _decided(
        (
            *(() if configured is None else (configured,)),
            *(() if snapshot is None else _in_snapshot(snapshot, directory, outright=outright)),
            *_in_columns(names_of(columns)),
            *_in_names(names),
        )
    )


@lru_cache(maxsize=256)  # most runs have the same evidence as the run before
def _decided(evidence: tuple[Evidence, ...]) -> FoundAlgorithm:
    chosen = next((item for item in evidence if len(item.algos) == 1), None)
    if chosen is None:
        return FoundAlgorithm()
    (algo,) = chosen.algos
    against = [item for item in evidence if item is not chosen and _contradicts(item, algo)]
    return FoundAlgorithm(algo, chosen.source, _told(chosen, algo, against) if against else None)


def why_of_another_run(outputs: Mapping[str, str], configured: Evidence | None) -> str | None:
    """Why a save with these outputs can't belong to a run with this config; None if it can."""

    # Config keys are weak evidence within a family (on-policy or off-policy), because modified algorithms share keys.
    # There only an explicit name, or a key that no other algorithm has, counts against the outputs.
    given = _BY_OUTPUTS.get(frozenset(outputs))
    if given is None or configured is None:
        return None
    (algo,) = configured.algos
    if algo not in _ORIGINAL or algo in given:
        return None
    same_family = (algo in _ON_POLICY) == bool(given & _ON_POLICY)
    if same_family and configured.source != "config" and algo not in _OWN_KEYS:
        return None
    theirs = f"gives {', '.join(sorted(outputs))}, as {' or '.join(sorted(given))} do"
    return f"{theirs}, and by {configured.told} this run is {algo}: another run left it"


def _plain(text: str) -> str:
    """The algorithm as spelled in a config, or the one known word in the text of an object or a path."""
    words = _words(text)
    return next(iter(words)) if len(words) == 1 and ("<" in text or "." in text) else text


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    """The algorithms named by words of a text."""
    found = set(_WORD.findall(text.lower()))
    if not text.islower():
        found.update(_WORD.findall(_CAMEL.sub(" ", text).lower()))
    return frozenset(_SAME.get(word, word) for word in found & _KNOWN)


def _in_snapshot(snapshot: SnapshotRecord, directory: Path, *, outright: bool) -> Iterator[Evidence]:
    if snapshot.stale is not None:
        return
    if snapshot.kind == "pyt_save" and snapshot.unloadable is None and not outright:
        path = class_of_module(directory / snapshot.path)
        # The class name is more specific than its modules: core.MLPActorCritic, spinup.algos.pytorch.sac.core.
        for part in reversed(path.split(".")) if path else ():
            if len(words := _words(part)) == 1:
                yield Evidence("model class", words, f"the saved module's class ({path})")
                return
    if given := _BY_OUTPUTS.get(frozenset(snapshot.outputs)):
        yield Evidence("model outputs", given, f"the saved model's outputs ({', '.join(sorted(snapshot.outputs))})")


@lru_cache(maxsize=64)
def _in_columns(names: tuple[str, ...]) -> tuple[Evidence, ...]:
    plain = {name.lower().removeprefix("average") for name in names}
    for there, absent, algo in _BY_COLUMNS:
        if there <= plain and not absent & plain:
            told = [name for name in names if name.lower().removeprefix("average") in there]
            return (Evidence("columns", frozenset({algo}), f"the columns ({', '.join(told)})"),)
    return ()


def _in_names(names: Collection[str]) -> Iterator[Evidence]:
    for name in names:
        if len(words := _words(name)) == 1:
            yield Evidence("name", words, f"the name ({name})")
            return


def _contradicts(item: Evidence, algo: str) -> bool:
    if item.source in ("model outputs", "columns") and algo not in _ORIGINAL:
        return False  # outputs and columns of other algorithms are unknown
    return algo not in item.algos and not _words(algo) & item.algos


def _told(chosen: Evidence, algo: str, against: Sequence[Evidence]) -> str:
    others = ", ".join(f"{' or '.join(sorted(item.algos))} by {item.told}" for item in against)
    return f"{algo} by {chosen.told}, {others}: {algo} is used, since its source is more certain"


def class_of_module(path: Path) -> str | None:
    """The class of the module in a ``torch.save`` file as ``module.Class``; None if unknown.

    This is the first class in the pickle; the rest of the file is not read.
    """
    try:
        with open_regular(path) as file:
            if file.read(2) != b"PK":
                file.seek(0)
                return _first_class(io.BytesIO(file.read(_MOST)), _PICKLES_BEFORE)
            with zipfile.ZipFile(file) as container:
                name = next(name for name in container.namelist() if name.rpartition("/")[2] == "data.pkl")
                with container.open(name) as pickled:
                    return _first_class(io.BytesIO(pickled.read(_MOST)), 0)
    except Exception:  # an untrusted file; damage is reported with the snapshot
        return None


def _first_class(stream: io.BytesIO, pickles_before: int) -> str | None:
    for _ in range(pickles_before):
        for _ in pickletools.genops(stream):
            pass
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "GLOBAL":
            return str(argument).replace(" ", ".")
        # Protocol 4 pushes module and name as text before this instruction; earlier protocols have them in GLOBAL.
        if opcode.name == "STACK_GLOBAL":
            return ".".join(texts[-2:])
        if isinstance(argument, str):
            texts.append(argument)
    return None
