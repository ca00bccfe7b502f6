"""``spindb sweep``; what it does stands in `spindb.cli.playing.sweep`, which brings numpy."""

from __future__ import annotations

import typer

from spindb.cli import handlers
from spindb.cli import play_options as typed
from spindb.cli.options import Db, Everything, FilterWords, selection
from spindb.cli.play_options import EnvironmentFlags


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("sweep")(sweep)


def sweep(
    ctx: typer.Context,
    words: FilterWords = None,
    episodes: typed.SweepEpisodes = 10,
    length: typed.Length = 0,
    deterministic: typed.Deterministic = False,
    seed: typed.SameSeed = 0,
    env: typed.EnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    trust: typed.Trust = False,
    action: typed.ActionRule = None,
    without_wrappers: typed.WithoutWrappers = False,
    contact_forces: typed.Forces = None,
    jobs: typed.Jobs = None,
    out: typed.SweepPlot = None,
    everything: Everything = False,
    db: Db = None,
) -> None:
    """Evaluate every snapshot of the matching runs, in several processes; skip those evaluated with equal options.

    spindb sweep 42

    spindb sweep 'env=Hopper-v2 algo=sac' -n 20 -d --out sweep.png
    """
    flags = EnvironmentFlags(env, env_factory, imports, trust, action, without_wrappers, contact_forces)
    options = handlers.playing.options.play_options(
        flags, episodes=episodes, length=length, deterministic=deterministic, seed=seed
    )
    request = handlers.playing.sweep.Sweep(selection(ctx, db, words, everything), options, jobs, out)
    handlers.playing.sweep.evaluate_snapshots(request)
