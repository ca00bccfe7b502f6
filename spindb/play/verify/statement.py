"""Verdicts that are handed on: what was played and found, in a file, to be repeated on another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spindb.errors import UsageError
from spindb.files import atomic_write
from spindb.play.verify.words import as_dict
from spindb.records import Evaluation, Verdict

_FORMAT = "spindb verdicts"
_VERSION = 1
_CLOSE = 1e-6  # of a return: machines round otherwise in their last digits
_NEEDED = {"run": str, "snapshot": str, "weights": str, "episodes": int, "mean_return": float, "verdict": dict}


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """What a statement says of one snapshot; ``weights`` is the digest of the policy's files."""

    run: str
    snapshot: str
    weights: str
    seed: int | None
    episodes: int
    mean_return: float
    env_id: str | None
    env_source: str
    engine: str
    versions: Mapping[str, str]
    verdict: Mapping[str, Any]

    @property
    def word(self) -> str:
        return str(self.verdict.get("word"))


def entry_as_dict(run: str, evaluation: Evaluation) -> dict[str, Any]:
    """What is written of an evaluation with a verdict; no path of this machine is in it."""
    assert evaluation.verdict is not None
    return {
        "run": run,
        "snapshot": evaluation.snapshot_path,
        "itr": evaluation.itr,
        "kind": evaluation.kind,
        "weights": evaluation.snapshot_digest,
        "env_id": evaluation.env_id,
        "env_source": evaluation.env_source,
        "seed": evaluation.seed,
        "deterministic": evaluation.deterministic,
        "max_ep_len": evaluation.max_ep_len,
        "engine": evaluation.engine,
        "versions": dict(evaluation.versions),
        "episodes": len(evaluation.episodes),
        "mean_return": evaluation.mean_return,
        "std_return": evaluation.std_return,
        "verdict": as_dict(evaluation.verdict),
    }


def write_statement(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write a statement.

    Raises:
        UsageError: it can't be written there.
    """
    text = json.dumps({"format": _FORMAT, "version": _VERSION, "snapshots": list(entries)}, indent=2)
    try:
        with atomic_write(path) as beside:
            beside.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


def read_statement(path: Path) -> list[StatementEntry]:
    """The snapshots of a statement.

    Raises:
        UsageError: it can't be read, or is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not a statement: it is not JSON") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise UsageError(f"{path} is not a statement", hint="spindb verify RUN --statement FILE writes one")
    if found.get("version") != _VERSION:
        raise UsageError(f"{path} has version {found.get('version')!r} of statements; this spindb reads {_VERSION}")
    entries = found.get("snapshots")
    if not isinstance(entries, list):
        raise UsageError(f"{path} is not a statement: it lists no snapshots")
    return [_entry(path, place, entry) for place, entry in enumerate(entries)]


def _entry(path: Path, place: int, entry: Any) -> StatementEntry:
    for name, kind in _NEEDED.items():
        value = entry.get(name) if isinstance(entry, dict) else None
        # bool is an int to Python; JSON writes a mean that is whole without a point.
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise UsageError(f"{path}: snapshot {place} of the statement: its {name} is missing or of another kind")
    if entry["episodes"] < 1:
        raise UsageError(f"{path}: snapshot {place} of the statement: {entry['episodes']} episodes")
    seed, versions = entry.get("seed"), entry.get("versions")
    return StatementEntry(
        run=entry["run"],
        snapshot=entry["snapshot"],
        weights=entry["weights"],
        seed=seed if isinstance(seed, int) else None,
        episodes=entry["episodes"],
        mean_return=float(entry["mean_return"]),
        env_id=entry.get("env_id"),
        env_source=str(entry.get("env_source")),
        engine=str(entry.get("engine")),
        versions=versions if isinstance(versions, dict) else {},
        verdict=entry["verdict"],
    )


def differences_from(entry: StatementEntry, again: Evaluation) -> list[str]:
    """What a repetition found otherwise than the statement says; none: it is confirmed.

    Equal seeds give equal episodes on one machine. On another one, or with other versions, draws may differ: there the
    repeated mean must lie within the 99 % interval that the spread of both leaves.
    """
    verdict: Verdict | None = again.verdict
    found = []
    if again.env_id != entry.env_id:
        found.append(f"the environment is {again.env_id}, the statement's is {entry.env_id}")
    if verdict is None or verdict.word != entry.word:
        found.append(f"the verdict is {verdict.word if verdict else 'none'}, the statement's is {entry.word}")
    logged, now = entry.verdict.get("logged_mean"), verdict.logged_mean if verdict else None
    # Exactly: both come out of the same log, so that any difference means another log.
    if logged != now:
        found.append(f"the log says {now}, the statement {logged}")
    # 2.576 standard errors are the 99 % of a normal distribution; of a difference of two means with equal errors, √2
    # times that.
    error = verdict.played_error if verdict else None
    apart = abs((again.mean_return or 0.0) - entry.mean_return)
    allowed = _CLOSE * max(1.0, abs(entry.mean_return)) + 2.576 * 2**0.5 * (error or 0.0)
    if again.mean_return is None or apart > allowed:
        found.append(f"the mean return is {again.mean_return}, the statement's is {entry.mean_return}")
    return found


def is_same_play(entry: StatementEntry, again: Evaluation) -> bool:
    """Whether the episodes were the same ones, up to rounding."""
    mean = again.mean_return
    return mean is not None and abs(mean - entry.mean_return) <= _CLOSE * max(1.0, abs(entry.mean_return))
