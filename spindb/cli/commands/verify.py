"""``spindb verify``: is this the agent that was trained? What it does stands in `spindb.cli.playing.verify`."""

from __future__ import annotations

import typer

from spindb.cli import handlers
from spindb.cli import play_options as typed
from spindb.cli.options import AsJson, Db, Everything, FilterWords, selection
from spindb.cli.play_options import LATEST, EnvironmentFlags
from spindb.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("verify")(verify)


def verify(
    ctx: typer.Context,
    words: FilterWords = None,
    itr: typed.VerifiedItr = LATEST,
    all_snapshots: typed.AllSnapshots = False,
    episodes: typed.FirstEpisodes = 20,
    most: typed.Most = 200,
    seed: typed.SameSeed = 0,
    env: typed.EnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    trust: typed.Trust = False,
    action: typed.ActionRule = None,
    without_wrappers: typed.WithoutWrappers = False,
    contact_forces: typed.Forces = None,
    strict: typed.Strict = False,
    again: typed.Again = False,
    statement: typed.Statement = None,
    check: typed.Check = None,
    jobs: typed.Jobs = None,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Play snapshots as their return was logged, and say whether they agree with the training log.

    spindb verify 42

    spindb verify 'env=CartPole-v0' --all-snapshots

    spindb verify 42 --statement verdict.json
    """
    if check is not None and statement is not None:
        raise UsageError("--check and --statement exclude each other")
    if all_snapshots and itr != LATEST:
        raise UsageError("--itr and --all-snapshots exclude each other")
    flags = EnvironmentFlags(env, env_factory, imports, trust, action, without_wrappers, contact_forces)
    work = handlers.playing.verify
    plan = work.verify_plan(handlers.playing.options.play_options(flags, seed=seed), episodes, most, strict)
    chosen = selection(ctx, db, words, everything)
    how = work.How(plan, jobs, chosen.location, as_json)
    which = work.Which(chosen, itr, all_snapshots)
    if check is not None:
        work.check_statement(which, check, how)
    else:
        work.verify_snapshots(which, how, again=again, statement=statement)
