"""``spindb test-policy``; what it does stands in `spindb.cli.playing.episodes`, which brings numpy."""

from __future__ import annotations

import typer

from spindb.cli import handlers
from spindb.cli import play_options as typed
from spindb.cli.options import AsJson, Db, Debug, database
from spindb.cli.play_options import EnvironmentFlags


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("test-policy")(test_policy)
    app.command("test_policy", hidden=True)(test_policy)


def test_policy(
    ctx: typer.Context,
    run: typed.PlayedRun = None,
    run_id: typed.RunIdOption = None,
    itr: typed.Itr = typed.LATEST,
    length: typed.Length = 0,
    episodes: typed.Episodes = 100,
    norender: typed.NoRender = False,
    deterministic: typed.Deterministic = False,
    env: typed.EnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    trust: typed.Trust = False,
    action: typed.ActionRule = None,
    without_wrappers: typed.WithoutWrappers = False,
    contact_forces: typed.Forces = None,
    engine: typed.EngineName = "auto",
    seed: typed.Seed = None,
    values: typed.Values = None,
    gamma: typed.Gamma = None,
    faithful: typed.Faithful = False,
    video: typed.Video = None,
    captions: typed.Captions = False,
    keep: typed.Keep = True,
    debug: Debug = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Play a saved policy: load the snapshot, build its environment anew, run episodes.

    spindb test-policy --run-id 42 --itr 100

    spindb test-policy data/ppo/ppo_s0 -nr -n 10

    spindb test-policy 42 --env-factory my_envs:make
    """
    ref = handlers.playing.options.run_named(run, run_id)
    flags = EnvironmentFlags(env, env_factory, imports, trust, action, without_wrappers, contact_forces)
    options = handlers.playing.options.play_options(
        flags, episodes=episodes, length=length, deterministic=deterministic, seed=seed, engine=engine
    )
    location, shown = database(ctx, db), not norender
    request = handlers.playing.options.play_request(
        ref, itr, options, location, video=video is not None, shown=shown, replay=faithful
    )
    handlers.playing.episodes.play(
        request, handlers.playing.episodes.Outputs(values, gamma, video, captions, keep, as_json)
    )
