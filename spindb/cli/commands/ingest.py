"""``spindb ingest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsJson, Db, database

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Directories. (default: $SPINDB_DATA_DIR, else what spindb config data_dir set, else ./data)",
        show_default=False,
    ),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Drop runs whose directories are gone, unless you added something or they hold what was overwritten.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", help="Parallel processes. (default: all cores)", min=0)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
Watch = Annotated[bool, typer.Option("--watch", help="Keep running and follow training until Ctrl-C.")]
StampZone = Annotated[
    str | None,
    typer.Option(
        "--stamp-zone",
        metavar="ZONE",
        help="Time zone of the stamps in names: Europe/Berlin, +02:00. (default: this machine's)",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="Seconds of CPU time for reading one run; broken runs are read again. (default: 30)",
        min=0.001,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("ingest")(ingest)


def ingest(
    ctx: typer.Context,
    paths: Paths = None,
    prune: Prune = False,
    jobs: Jobs = 0,
    dry_run: DryRun = False,
    watch: Watch = False,
    stamp_zone: StampZone = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Index every run under these directories; nothing in them is changed or executed.

    The second ingest reads only what changed:  spindb ingest data/
    """
    options = handlers.ingest.IngestOptions(prune, jobs, dry_run, watch, stamp_zone, time_limit)
    handlers.ingest.ingest_and_report(database(ctx, db), paths or [], options, as_json=as_json)
