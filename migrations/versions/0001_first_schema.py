"""The first schema: roots, runs, configs, metrics, snapshots, problems, and what people add."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Ordered by code point whatever the locale of the database is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# A JSON array, or an array of numbers with `odd_cells` for what such an array can't hold.
SERIES = sa.Text().with_variant(sa.ARRAY(sa.Double()), "postgresql")

# One row per logged value. `value` is NULL where the cell is no number; then `text` says what it is
# ("NaN", or what was written), and both are NULL where the cell was empty. `epoch` is the cell of the
# run's axis in the same row, or the row number where the run has none.
_POINTS = {
    "sqlite": """
        CREATE VIEW metric_points AS
        SELECT m.run_id, m.name, p.key AS row,
               CASE WHEN a.series IS NULL THEN p.key ELSE json_extract(a.series, '$[' || p.key || ']') END AS epoch,
               CASE WHEN p.type IN ('integer', 'real') THEN p.value
                    WHEN p.value = 'Infinity' THEN 9e999
                    WHEN p.value = '-Infinity' THEN -9e999 END AS value,
               CASE WHEN p.type = 'text' AND p.value NOT IN ('Infinity', '-Infinity') THEN p.value END AS text
        FROM metrics AS m
        JOIN runs AS r ON r.id = m.run_id
        LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
        JOIN json_each(m.series) AS p
        """,
    "postgresql": """
        CREATE VIEW metric_points AS
        SELECT m.run_id, m.name, (p.number - 1)::integer AS row,
               CASE WHEN a.series IS NULL THEN p.number - 1 ELSE a.series[p.number] END AS epoch,
               CASE WHEN p.cell <> 'NaN' THEN p.cell END AS value,
               CASE WHEN p.cell = 'NaN' THEN 'NaN'
                    WHEN p.cell IS NULL THEN m.odd_cells::json ->> (p.number - 1)::text END AS text
        FROM metrics AS m
        JOIN runs AS r ON r.id = m.run_id
        LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
        CROSS JOIN LATERAL unnest(m.series) WITH ORDINALITY AS p (cell, number)
        """,
}


def upgrade() -> None:
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roots")),
        sa.UniqueConstraint("host", "path", name=op.f("uq_roots_host_path")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("exp_name", TEXT, nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("algo", TEXT, nullable=True),
        sa.Column("algo_source", TEXT, nullable=True),
        sa.Column("env_id", TEXT, nullable=True),
        sa.Column("env_source", TEXT, nullable=True),
        sa.Column("env_classes", TEXT, nullable=True),
        sa.Column("max_episode_steps", sa.Integer(), nullable=True),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("axis", TEXT, nullable=True),
        sa.Column("steps", TEXT, nullable=True),
        sa.Column("performance", TEXT, nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("started_source", TEXT, nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.Column("ingested_at", sa.DateTime(), nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("metrics_size", sa.BigInteger(), nullable=False),
        sa.Column("metrics_digest", TEXT, nullable=False),
        sa.Column("config_digest", TEXT, nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("copy_of", sa.Integer(), nullable=True),
        sa.Column("signature", TEXT, nullable=True),
        sa.Column("archived", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint("status IN ('ok', 'empty', 'broken', 'missing')", name=op.f("ck_runs_status")),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name=op.f("fk_runs_root_id")),
        sa.ForeignKeyConstraint(["copy_of"], ["runs.id"], name=op.f("fk_runs_copy_of"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("root_id", "path", name=op.f("uq_runs_root_id_path")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_copy_of"), "runs", ["copy_of"], unique=False)
    op.create_index("ix_runs_env_id", "runs", ["env_id"], unique=False)
    op.create_index("ix_runs_exp_name", "runs", ["exp_name"], unique=False)
    op.create_index("ix_runs_fingerprint", "runs", ["fingerprint"], unique=False)
    op.create_index("ix_runs_name_config_digest", "runs", ["name", "config_digest"], unique=False)
    op.create_table(
        "superseded",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("performance", TEXT, nullable=True),
        sa.Column("last", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_superseded_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "generation", name=op.f("pk_superseded")),
    )
    op.create_table(
        "configs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("raw", TEXT, nullable=True),
        sa.Column("internal", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_configs_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_configs")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_configs_key_number_run_id", "configs", ["key", "number", "run_id"], unique=False)
    op.create_index("ix_configs_key_value_run_id", "configs", ["key", "value", "run_id"], unique=False)
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("itr", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_path", TEXT, nullable=False),
        sa.Column("env_id", TEXT, nullable=True),
        sa.Column("env_source", TEXT, nullable=False),
        sa.Column("deterministic", sa.Boolean(), nullable=False),
        sa.Column("engine", TEXT, nullable=False),
        sa.Column("snapshot_digest", TEXT, nullable=True),
        sa.Column("partial", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("max_ep_len", sa.Integer(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("episodes", sa.Integer(), nullable=False),
        sa.Column("mean_return", sa.Double(), nullable=True),
        sa.Column("std_return", sa.Double(), nullable=True),
        sa.Column("mean_length", sa.Double(), nullable=True),
        sa.Column("versions", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_evaluations_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index(op.f("ix_evaluations_run_id"), "evaluations", ["run_id"], unique=False)
    op.create_table(
        "metrics",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first", sa.Double(), nullable=True),
        sa.Column("last", sa.Double(), nullable=True),
        sa.Column("last_text", TEXT, nullable=True),
        sa.Column("min", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("argmin", sa.Integer(), nullable=True),
        sa.Column("argmax", sa.Integer(), nullable=True),
        sa.Column("series", SERIES, nullable=False),
        sa.Column("odd_cells", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_metrics_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_metrics")),
    )
    op.create_index("ix_metrics_name_last_run_id", "metrics", ["name", "last", "run_id"], unique=False)
    op.create_index("ix_metrics_name_max_run_id", "metrics", ["name", "max", "run_id"], unique=False)
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_notes_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_run_id"), "notes", ["run_id"], unique=False)
    op.create_table(
        "problems",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_problems_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problems")),
    )
    op.create_index(op.f("ix_problems_run_id"), "problems", ["run_id"], unique=False)
    op.create_table(
        "queries",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queries")),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("itr", sa.BigInteger(), nullable=True),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("saved_at", sa.DateTime(), nullable=True),
        sa.Column("state_path", TEXT, nullable=True),
        sa.Column("inputs", TEXT, nullable=False),
        sa.Column("outputs", TEXT, nullable=False),
        sa.Column("framework", TEXT, nullable=True),
        sa.Column("unloadable", TEXT, nullable=True),
        sa.Column("stale", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_snapshots_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("run_id", "path", name=op.f("uq_snapshots_run_id_path")),
    )
    op.create_table(
        "tags",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tags_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "tag", name=op.f("pk_tags")),
    )
    op.create_index("ix_tags_tag", "tags", ["tag"], unique=False)
    op.create_table(
        "episodes",
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("ep_return", sa.Double(), nullable=True),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("ending", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name=op.f("fk_episodes_evaluation_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "number", name=op.f("pk_episodes")),
    )
    op.execute(_POINTS[op.get_bind().dialect.name])
    if op.get_bind().dialect.name == "postgresql":
        # Which values are frequent per hyperparameter: by itself it takes the two columns for independent.
        for column in ("number", "value"):
            op.execute(f"CREATE STATISTICS st_configs_key_{column} (mcv) ON key, {column} FROM configs")
            op.execute(f"ALTER STATISTICS st_configs_key_{column} SET STATISTICS 1000")


def downgrade() -> None:
    op.execute("DROP VIEW metric_points")
    for table in (
        "queries",
        "episodes",
        "evaluations",
        "superseded",
        "notes",
        "tags",
        "problems",
        "snapshots",
        "metrics",
        "configs",
    ):
        op.drop_table(table)
    op.drop_table("runs")
    op.drop_table("roots")
