"""The tables, legible in any SQL client: text keys, no codes to look up.

Times are UTC without a zone. Migrations under ``migrations/`` create the same tables; a test compares
the two. `metric_points` is a view (see `spindb.index.database.create`) with one row per logged value. ``info`` says
what a column holds beyond its type, for `spindb.index.database.wrong_cells`.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

__all__ = ["REVISIONS", "metadata"]

REVISIONS = ("0001", "0002", "0003", "0004")
"""Schema revisions, oldest first. A database at any other revision comes from a newer spindb."""

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered by code point on every database, whatever its locale is."""

SERIES = Text().with_variant(ARRAY(Double()), "postgresql")
"""See `spindb.index.database.series`."""

LARGEST = 2**63 - 1
"""The largest whole number that the databases take."""

APPLICATION_ID = 0x73706462
"""``PRAGMA application_id`` of SQLite files, key of PostgreSQL's advisory locks: "spdb"."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _run_id(*, primary_key: bool = False) -> Column[int]:
    return Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


roots = Table(
    "roots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", TEXT, nullable=False),
    Column("path", TEXT, nullable=False),
    UniqueConstraint("host", "path"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("root_id", ForeignKey("roots.id"), nullable=False),
    Column("path", TEXT, nullable=False),  # relative to the root, "/" between parts
    Column("name", TEXT, nullable=False),
    Column("exp_name", TEXT),
    Column("seed", BigInteger, info={"signed": True}),
    Column("algo", TEXT),
    Column("algo_source", TEXT),
    Column("env_id", TEXT),
    Column("env_source", TEXT),
    Column("env_classes", TEXT, info={"json": list}),  # classes of the saved environment, outermost first
    Column("max_episode_steps", Integer),
    Column("format", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("axis", TEXT),  # the metric that numbers the rows, none: the row number
    Column("steps", TEXT),  # the metric that counts interactions with the environment
    Column("performance", TEXT),  # the metric that is this run's performance
    Column("started_at", DateTime),
    Column("started_source", TEXT),  # name (local time of the machine that trained) or the time of a file
    Column("updated_at", DateTime),
    Column("ingested_at", DateTime, nullable=False),
    Column("fingerprint", TEXT, nullable=False),  # digest of metrics and config
    Column("metrics_size", BigInteger, nullable=False),  # bytes
    Column("metrics_digest", TEXT, nullable=False),
    Column("config_digest", TEXT, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),  # which of its directory's contents it is
    Column("copy_of", ForeignKey("runs.id", ondelete="SET NULL"), index=True),
    Column("signature", TEXT),  # digest of sizes and mtimes; none: to be read again
    Column("archived", Boolean, nullable=False, server_default=false()),
    # The run that the directory holds now, where another training overwrote this one.
    Column("superseded_by", ForeignKey("runs.id", ondelete="CASCADE"), index=True),
    Column("removed_at", DateTime),  # when a person removed it from the index; none: it is there
    Column("part", TEXT),  # the end of path that names one of several runs of a directory; none: it has it alone
    UniqueConstraint("root_id", "path", "generation"),
    CheckConstraint("status IN ('ok', 'empty', 'broken', 'policy', 'missing', 'superseded')", name="status"),
    Index("ix_runs_name_config_digest", "name", "config_digest"),  # by which a run that moved is known
    Index("ix_runs_exp_name", "exp_name"),
    Index("ix_runs_env_id", "env_id"),
    Index("ix_runs_fingerprint", "fingerprint"),
    sqlite_autoincrement=True,  # an id is never given to a second run
)

configs = Table(
    "configs",
    metadata,
    _run_id(primary_key=True),
    Column("key", TEXT, primary_key=True),
    Column("type", TEXT, nullable=False),
    Column(
        "value", TEXT, nullable=False, info={"json": object}
    ),  # JSON text, as it was written but for memory addresses
    Column(
        "canonical", TEXT, nullable=False, info={"json": object}
    ),  # equal values have equal texts; see spindb.canonical
    Column("number", Double),
    Column("raw", TEXT, info={"json": object}),  # before addresses were replaced, where it differs
    Column("internal", Boolean, nullable=False, server_default=false()),
    Index("ix_configs_key_number_run_id", "key", "number", "run_id"),  # joins never touch the table
    Index("ix_configs_key_canonical_run_id", "key", "canonical", "run_id"),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    _run_id(primary_key=True),
    Column("name", TEXT, primary_key=True),
    Column("position", Integer, nullable=False),  # of the column in progress.txt
    Column("count", Integer, nullable=False),  # of numbers: NaN, text and empty cells don't count
    Column("first", Double),
    Column("last", Double),
    Column("last_text", TEXT),  # what the last cell is where it is no number
    Column("min", Double),
    Column("max", Double),
    Column("mean", Double),
    Column("argmin", Integer),  # row numbers
    Column("argmax", Integer),
    Column("series", SERIES, nullable=False),
    Column(
        "odd_cells", TEXT, info={"json": dict}
    ),  # JSON, row -> cell: what an array of numbers can't hold; none: it holds all
    Column("steps", SERIES),  # the step of each cell; none: the cells are those of the run's rows
    Index("ix_metrics_name_last_run_id", "name", "last", "run_id"),
    Index("ix_metrics_name_max_run_id", "name", "max", "run_id"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_id(),
    Column("kind", TEXT, nullable=False),
    Column("itr", BigInteger),
    Column("path", TEXT, nullable=False),  # relative to the run
    Column("size", BigInteger, nullable=False),  # bytes
    Column("saved_at", DateTime),
    Column("state_path", TEXT),
    Column("inputs", TEXT, nullable=False, info={"json": dict}),  # name -> tensor
    Column("outputs", TEXT, nullable=False, info={"json": dict}),
    Column("framework", TEXT),
    Column("unloadable", TEXT),  # why it can't be loaded; none: it can
    Column("stale", TEXT),  # why it is an earlier run's; none: it is this run's
    UniqueConstraint("run_id", "path"),
)

problems = Table(
    "problems",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("path", TEXT, nullable=False),
    Column("line", Integer),
    Column("code", TEXT, nullable=False),
    Column("message", TEXT, nullable=False),
)

tags = Table(
    "tags",
    metadata,
    _run_id(primary_key=True),
    Column("tag", TEXT, primary_key=True),
    Index("ix_tags_tag", "tag"),
)

# What a run was before another training overwrote it, where its content was not kept: schema 0001 did not. Since then
# it is a run of its own (`runs.superseded_by`).
superseded = Table(
    "superseded",
    metadata,
    _run_id(primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("fingerprint", TEXT, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("performance", TEXT),
    Column("last", Double),
    Column("max", Double),
    Column("started_at", DateTime),
    Column("updated_at", DateTime),
    Column("superseded_at", DateTime, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("text", TEXT, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

# Filters that people gave a name.
queries = Table(
    "queries",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("text", TEXT, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

# Evaluations name their snapshot by value: snapshots are the index's, evaluations are people's.
evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("generation", Integer, nullable=False),  # of the run's content: see superseded
    Column("kind", TEXT, nullable=False),
    Column("itr", BigInteger),
    Column("snapshot_path", TEXT, nullable=False),
    Column("env_id", TEXT),  # what was played, which may be a successor of what was trained on
    Column("env_source", TEXT, nullable=False),
    Column("deterministic", Boolean, nullable=False),
    Column("engine", TEXT, nullable=False),  # what evaluated the policy
    Column("snapshot_digest", TEXT),  # of the policy's files when it was played
    Column("partial", Boolean, nullable=False, server_default=false()),  # interrupted: fewer episodes than asked for
    Column("max_ep_len", Integer),  # steps; none: only the environment ends an episode
    Column("seed", BigInteger, info={"signed": True}),
    Column("episodes", Integer, nullable=False),
    Column("mean_return", Double),
    Column("std_return", Double),
    Column("mean_length", Double),
    Column("versions", TEXT, nullable=False, info={"json": dict}),  # package -> version
    Column("created_at", DateTime, nullable=False),
    Column("seconds", Double, nullable=False),
    # Whether it agrees with the training log; none: that was not asked. See docs/playing.md.
    Column("verdict", TEXT),  # agrees, differs, can't-tell
    Column("verdict_reason", TEXT),
    Column("logged_metric", TEXT),  # what it was compared with
    Column("logged_epoch", BigInteger),
    Column("logged_mean", Double),
    Column("logged_error", Double),  # standard error of that mean
    Column("logged_episodes", Integer),
    Column("logged_range", Double),  # of the metric over all epochs
    Column("counted_mean", Double),  # mean return, as the log counts episodes
    Column("difference", Double),  # counted minus logged
    Column("difference_error", Double),  # standard error
    Column("power", Double),  # probability of finding a true difference of 30 % of the range
)

episodes = Table(
    "episodes",
    metadata,
    Column("evaluation_id", ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("ep_return", Double),
    Column("length", Integer, nullable=False),
    Column("ending", TEXT, nullable=False),  # terminated, truncated (by the environment), cut (by --len)
)
