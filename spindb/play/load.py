"""From a run (id, name or path) to a policy that acts: what people call from Python."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, SupportsIndex

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.environments import environment_in_state
from spindb.disk.formats import recognise
from spindb.disk.formats.spinningup import SpinningUp
from spindb.disk.regular import follow_links_within, read_regular
from spindb.disk.scan import FoundRun, scan
from spindb.errors import DatabaseError, EnvironmentWarning, NotFoundError, PolicyError, UsageError
from spindb.index.database.connect import connected
from spindb.index.query.reference import RunDirectory, RunName, RunRef, reference
from spindb.index.query.runs import find_run, pick_snapshot, run_at, snapshots_of
from spindb.location import located
from spindb.machine import this_host
from spindb.play.actions import Rule, rule_of, settle
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.environments.adapter import Environment
from spindb.play.environments.build import BuiltEnvironment, Choices, Render, build_environment
from spindb.play.environments.contact_forces import ContactForces, were_zero
from spindb.play.environments.own import import_environments
from spindb.play.environments.state import saved_of
from spindb.play.policies import Engine, Policy, load_snapshot
from spindb.records import EnvironmentHint, SnapshotRecord

_MAX_LISTED = 5
_SPINNING_UP = SpinningUp()


@dataclass(frozen=True, slots=True)
class Playable:
    """A run's snapshot, found, what is known of its environment, and all snapshots beside it."""

    directory: Path
    snapshot: SnapshotRecord
    env: EnvironmentHint
    run_id: int | None = None
    beside: tuple[SnapshotRecord, ...] = ()
    elsewhere: str | None = None
    """The host that it was recorded on, where that is not this one: the files here may be others."""
    note: str | None = None
    """How the run was found, where that may surprise."""
    root: Path | None = None
    """The root that it was ingested with, in which links to files are followed; without one in `directory`."""

    def follow_links(self) -> None:
        """Let the files of the run be links to others of its root."""
        follow_links_within(self.root or self.directory)


def locate(
    run: RunRef | SupportsIndex | str | Path,
    itr: int | None = None,
    *,
    db: str | Path | None = None,
    run_id: int | None = None,
) -> Playable:
    """Find the snapshot to play.

    Args:
        run: a run's id, directory or name: see `spindb.index.query.reference`. A directory need not be indexed.
        itr: which snapshot; None for the latest.
        db: the database (path or URL); without one as the command line finds it, where `run` is no directory.
        run_id: the id of the run at the directory, where it is known already.

    Raises:
        NotFoundError: there is no such run, directory or itr; the message lists what does exist.
        DatabaseError: the database can't be used.
    """
    ref = reference(run)
    if isinstance(ref, RunDirectory):
        return _locate_directory(ref.path, itr, _id_at(ref.path, db) if run_id is None else run_id)
    try:
        with connected(located(None if db is None else str(db))) as connection:
            found = find_run(connection, ref)
            snapshots = snapshots_of(connection, found.id)
    except (NotFoundError, DatabaseError):
        if not isinstance(ref, RunName) or not os.path.isdir(ref.text):
            raise
        note = f"no run is called {ref.text!r}: the directory {ref.text} is meant"
        return replace(_locate_directory(Path(ref.text), itr, run_id), note=note)
    if found.status == "superseded":
        raise NotFoundError(
            f"run {found.id} was overwritten: its directory holds run {found.superseded_by} now, its policies are gone"
        )
    if not os.path.isdir(found.directory):
        raise NotFoundError(
            f"run {found.id} was at {found.directory} on {found.host}, and is not there now",
            hint="ingest the place that it moved to, or mount its disk",
        )
    chosen = pick_snapshot(snapshots, itr, found.directory)
    elsewhere = None if found.host == this_host() else found.host
    playable = Playable(
        found.directory, chosen, found.env, found.id, tuple(snapshots), elsewhere, found.note, found.root
    )
    playable.follow_links()
    return playable


def _id_at(directory: Path, db: str | Path | None) -> int | None:
    """The id of the run at a directory, None where no database is given or it does not know."""
    if db is None:
        return None
    try:
        return indexed_id(directory, db)
    except DatabaseError:  # playing from a directory needs no database
        return None


def _locate_directory(directory: Path, itr: int | None, run_id: int | None) -> Playable:
    if not directory.is_dir():
        is_file = directory.exists()
        raise (UsageError if is_file else NotFoundError)(
            f"{directory} is a file, not an output directory" if is_file else f"no such directory: {directory}"
        )
    names = os.listdir(directory)
    found = recognise(names, directory)
    if found is None and not any(map(_SPINNING_UP.is_save, names)):
        raise NotFoundError(
            f"{directory} is no output directory: it has no progress.txt and no save",
            hint=_near(directory) or "spindb runs lists the runs that are known, spindb ingest DATA_DIR finds others",
        )
    follow_links_within(directory)
    record = (found or _SPINNING_UP).read(directory, ".")
    chosen = pick_snapshot(record.snapshots, itr, directory)
    return Playable(directory, chosen, record.env, run_id, tuple(record.snapshots))


def _near(directory: Path) -> str | None:
    """Output directories below, or the one that this save belongs to."""
    if _SPINNING_UP.is_save(directory.name):
        return f"its run is {directory.parent}: name that, and --itr for the snapshot"
    below = []
    for run in scan(directory):
        if isinstance(run, FoundRun):
            below.append(f"  {directory / run.path}")
        if len(below) > _MAX_LISTED:
            return "output directories below it:\n" + "\n".join(below[:_MAX_LISTED]) + "\n  …"
    return "output directories below it:\n" + "\n".join(below) if below else None


def earlier_ways(playable: Playable) -> tuple[str, ...]:
    """Why the ways to the environment that come before the one that is known did not serve, in order."""
    by_state = playable.env.source in ("state id", "state class")
    state = _why_no_state(playable, told=by_state)
    config = () if by_state or playable.env.source == "config" else ("the config names none",)
    return (*((state,) if state else ()), *config)


def _why_no_state(playable: Playable, *, told: bool) -> str | None:
    """Why the state beside the snapshot tells no environment; None where it does, or another state did (`told`)."""
    name = playable.snapshot.state_path
    if name is None:
        return None if told else "no environment was saved beside this snapshot (vars.pkl)"
    try:
        found = environment_in_state(read_regular(playable.directory / name, limits.STATE))
    except OSError as error:
        return f"{name} can't be read: {error.strerror}"
    except (PickleError, RecursionError, MemoryError) as error:
        return f"{name}: {error or type(error).__name__}"
    if found.id:
        return None
    limit = f" with at most {found.max_episode_steps} steps" if found.max_episode_steps else ""
    return f"{name} holds {' around '.join(found.classes)}{limit}, of which no id is known"


def digest_of(playable: Playable) -> str | None:
    """A digest of the policy's files, so that a result stays tied to what was played; None where they can't be read."""
    place = playable.directory / playable.snapshot.path
    files = [place] if place.is_file() else [place / "saved_model.pb", *sorted((place / "variables").glob("*"))]
    digest = blake2b(digest_size=16)
    try:
        for file in files:
            digest.update(read_regular(file, limits.MODULE))
    except OSError:
        return None
    return digest.hexdigest()


def environment_of(
    playable: Playable,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    *,
    render: Render = None,
    policy: Policy | None = None,
) -> BuiltEnvironment:
    """The environment of a snapshot; see `spindb.play.environments.build.build_environment` for the ways to it.

    Args:
        playable: the snapshot; the state beside it tells arguments, wrappers and their statistics.
        choices: what the user chose.
        render: how it is to be shown.
        policy: the snapshot's, whose weights say whether contact forces were 0 in training.

    Raises:
        EnvironmentBuildError: no way led to an environment.
    """
    trained = playable.env.id
    by_user = choices.env or choices.factory
    return build_environment(
        playable.env,
        choices,
        render=render,
        saved=saved_of(playable.directory, playable.snapshot.state_path, playable.env.classes),
        earlier=() if by_user else earlier_ways(playable),
        forces_were_zero=lambda: were_zero(policy.weights(), trained) if policy is not None and trained else None,
    )


def load_exportable(playable: Playable) -> GraphPolicy:
    """The snapshot's policy as a graph, deterministic: what can be told to other stacks.

    Raises:
        PolicyError: numpy can't evaluate it; the message says which operation it does not know.
    """
    policy = load_snapshot(playable.directory, playable.snapshot, deterministic=True, engine="numpy")
    assert isinstance(policy, GraphPolicy)
    return policy


def about(playable: Playable) -> dict[str, str]:
    """Where a policy comes from, for those who meet it elsewhere."""
    snapshot = playable.snapshot
    known = {
        "run": playable.directory.name,
        "run_id": playable.run_id,
        "snapshot": snapshot.path,
        "itr": snapshot.itr,
        "env": playable.env.id,
        "digest": digest_of(playable),
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def indexed_id(directory: Path, db: str | Path) -> int | None:
    """The id of the run at `directory` in the database, None where it is not indexed there."""
    with connected(db) as connection:
        found = run_at(connection, directory)
    return found.id if found else None


def load_policy(
    run: SupportsIndex | str | Path,
    itr: int | None = None,
    deterministic: bool = False,
    *,
    engine: Engine = "auto",
    trust: bool = False,
    db: str | Path | None = None,
    action: Rule | None = None,
) -> Policy:
    """Load a saved policy.

    Args:
        run: a run's id, directory or name: a number or a text of digits is an id, a `Path` or a text with a
            separator a directory, any other text the name of a run, or the only beginning of one.
        itr: which snapshot; None for the latest.
        deterministic: act by the mean, or the likeliest, action.
        engine: what evaluates it: ``numpy``, ``tensorflow``, or ``auto`` for numpy where it can.
        db: the database (path or URL) where `run` is not a directory; without one as the command line finds it:
            ``SPINDB_URL``, else the nearest ``spindb.db`` upward.
        action: what its outputs are where the save does not say: ``argmax``, ``sample``, ``tanh``, ``clip``; see
            `spindb.play.actions`.

    Returns:
        A policy: ``policy(observation)`` is the action for one observation, or one per row for many;
        ``policy.value(observation)`` and ``policy.q(observation, action)`` are what was learned of their worth.

    Raises:
        NotFoundError: there is no such run or itr.
        PolicyError: the snapshot can't be loaded, or does not say how its outputs become actions.
    """
    playable = locate(run, itr, db=db)
    policy = load_snapshot(
        playable.directory, playable.snapshot, deterministic=deterministic, engine=engine, trust=trust
    )
    return settle(policy, None, rule_of(action))


def load_policy_and_env(
    run: SupportsIndex | str | Path,
    itr: int | None = None,
    deterministic: bool = False,
    *,
    render: bool = False,
    imports: Sequence[str] = (),
    trust: bool = False,
    without_wrappers: bool = False,
    contact_forces: ContactForces | None = None,
    db: str | Path | None = None,
    action: Rule | None = None,
) -> tuple[Any, Policy]:
    """The environment built anew, and the policy, as the original's function of that name gives them.

    Arguments as of `load_policy`, and:
        render: build the environment for a window.
        imports: modules that are imported first: they register environments, or hold their classes and wrappers.
        without_wrappers: play without those wrappers of the saved environment that can't be rebuilt.
        contact_forces: of Ant and Humanoid up to -v3: ``real`` or ``zero``; None for what the policy's weights say.

    Where it is not the environment of the training, or may not be, an `EnvironmentWarning` says why.

    Raises:
        EnvironmentBuildError: the environment can't be told or built; use `load_policy` and your own.
        NotFoundError, PolicyError: as `load_policy`.
    """
    playable = locate(run, itr, db=db)
    for module in imports:
        import_environments(module)
    policy = load_snapshot(playable.directory, playable.snapshot, deterministic=deterministic, trust=trust)
    choices = Choices(
        imports=tuple(imports), trust=trust, without_wrappers=without_wrappers, contact_forces=contact_forces
    )
    built = environment_of(playable, choices, render="human" if render else None, policy=policy)
    policy = require_fit(policy, built, rule_of(action))
    if built.substituted:
        warnings.warn(built.substituted, EnvironmentWarning, stacklevel=2)
    return built.environment.env, policy


def require_fit(policy: Policy, built: BuiltEnvironment, action: Rule | None = None) -> Policy:
    """The policy with actions that are the environment's: the same, or one whose outputs are made so by a rule.

    Args:
        policy: as it was loaded.
        built: the environment.
        action: what outputs are whose meaning stays open; see `spindb.play.actions`.

    Raises:
        PolicyError: observations or actions of the environment are not the policy's, or what its output is stays open.
    """
    wanted, given = policy.observation_shape, built.environment.observation_shape
    if wanted is not None and given is not None and wanted != given:
        raise PolicyError(
            f"the policy takes observations of shape {wanted}, "
            f"{built.id or 'the environment'} (from {built.source}) gives {given}",
            hint="name the environment that it was trained in: --env ID or --env-factory module:function",
        )
    if wanted is None and given is not None and policy.engine != "torch":
        policy.observation_shape = given
    where = built.id or "the environment"
    return settle(policy, built.environment.action_space, action, where=where)


__all__ = [
    "Environment",
    "Playable",
    "about",
    "digest_of",
    "earlier_ways",
    "environment_of",
    "indexed_id",
    "load_exportable",
    "load_policy",
    "load_policy_and_env",
    "locate",
    "require_fit",
]
