"""What was typed, as the requests and options of `spindb.play.request`; what makes no sense is refused."""

from __future__ import annotations

from spindb.cli.play_options import LATEST, EnvironmentFlags
from spindb.errors import UsageError
from spindb.index.query.reference import RunId, RunRef, parse_reference
from spindb.play.actions import rule_of
from spindb.play.environments.build import Render
from spindb.play.environments.contact_forces import CONTACT_FORCES, ContactForces
from spindb.play.policies import ENGINES, Engine
from spindb.play.request import PlayOptions, PlayRequest
from spindb.play.rollouts.rollout import require_seed


def play_request(
    run: RunRef, itr: int, options: PlayOptions, database: str, *, video: bool, shown: bool, replay: bool
) -> PlayRequest:
    """What test-policy is to play.

    Args:
        run: which run.
        itr: which snapshot; -1 for the latest.
        options: how it is to be played.
        database: path or URL.
        video: pictures of it are wanted.
        shown: a window is wanted, where no video is.
        replay: as the original would have played it.

    Raises:
        UsageError: the snapshot's number is none, or an option is one that a replay takes from the files.
    """
    if itr < LATEST:
        raise UsageError(f"--itr {itr}: a snapshot's number is 0 or more; -1 means the latest")
    render: Render = "rgb_array" if video else "human" if shown else None
    # A replay takes all of these from the saved state; silently ignoring one would claim a return that was not played
    # so.
    chosen = options.env or options.seed is not None or render is not None or options.engine == "numpy"
    if replay and chosen:
        raise UsageError(
            "--faithful replays the saved environment and draws: no --env, --seed, rendering or numpy",
            hint="spindb test-policy RUN --faithful -nr -n 5",
        )
    return PlayRequest(run, None if itr == LATEST else itr, options, database, render, replay)


def run_named(run: str | None, run_id: int | None) -> RunRef:
    """The run that was named by a word or by ``--run-id``.

    Raises:
        UsageError: both were given, or none.
    """
    if (run is None) == (run_id is None):
        raise UsageError("name one run: an output directory, or --run-id", hint="spindb runs lists them")
    return RunId(run_id) if run_id is not None else parse_reference(run or "")


def play_options(
    flags: EnvironmentFlags,
    *,
    episodes: int = 10,
    length: int = 0,
    deterministic: bool = False,
    seed: int | None = None,
    engine: str = "auto",
) -> PlayOptions:
    """The options of a session.

    Raises:
        UsageError: a value is none that there is, or two exclude each other.
    """
    one_environment(flags.env, flags.factory)
    if episodes < 1:
        raise UsageError(f"{episodes} episodes: at least one is needed")
    require_seed(seed)
    return PlayOptions(
        episodes,
        length,
        deterministic,
        seed,
        flags.env,
        flags.factory,
        tuple(flags.imports or ()),
        _engine(engine),
        flags.trust,
        rule_of(flags.action),
        flags.without_wrappers,
        forces_chosen(flags.contact_forces),
    )


def one_environment(env: str | None, env_factory: str | None) -> None:
    """Refuse two environments.

    Raises:
        UsageError: both are named.
    """
    if env is not None and env_factory is not None:
        raise UsageError("--env and --env-factory exclude each other")


def forces_chosen(name: str | None) -> ContactForces | None:
    """What was typed for ``--contact-forces``.

    Raises:
        UsageError: it is none of its values.
    """
    found = next((known for known in CONTACT_FORCES if known == name), None)
    if name is not None and found is None:
        raise UsageError(f"--contact-forces {name}: it is real or zero")
    return found


def _engine(name: str) -> Engine:
    found = next((engine for engine in ENGINES if engine == name), None)
    if found is None:
        raise UsageError(f"no engine is called {name!r}", hint=f"engines: {', '.join(ENGINES)}")
    return found
