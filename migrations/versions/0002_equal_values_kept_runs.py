"""Canonical texts of values; superseded and removed runs; runs without metrics."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from spindb.canonical import canonical

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_OLD_STATES = ("ok", "empty", "broken", "missing")
_NEW_STATES = ("ok", "empty", "broken", "policy", "missing", "superseded")
_BATCH = 10_000  # distinct values at once


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite(_NEW_STATES, new=True)
    else:
        _up_on_postgresql()
    # Read again by the next ingest: readers know more than those that filled the rows.
    op.execute("UPDATE runs SET signature = NULL")


def downgrade() -> None:
    op.execute("DELETE FROM runs WHERE superseded_by IS NOT NULL")
    op.execute("UPDATE runs SET status = 'empty' WHERE status = 'policy'")
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite(_OLD_STATES, new=False)
    else:
        _down_on_postgresql()
    op.execute("UPDATE runs SET signature = NULL")


# SQLite alters no constraint: both tables are made anew.

_RUNS = (
    *(
        "id",
        "root_id",
        "path",
        "name",
        "exp_name",
        "seed",
        "algo",
        "algo_source",
        "env_id",
        "env_source",
        "env_classes",
    ),
    *("max_episode_steps", "format", "status", "rows", "axis", "steps", "performance", "started_at", "started_source"),
    *("updated_at", "ingested_at", "fingerprint", "metrics_size", "metrics_digest", "config_digest", "generation"),
    *("copy_of", "signature", "archived"),
)

_POINTS = """
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
        """


def _on_sqlite(states: tuple[str, ...], *, new: bool) -> None:
    connection = op.get_bind()
    if connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
        # To drop a table deletes its rows first, and what belongs to them by foreign keys.
        raise RuntimeError("foreign keys must be off while tables are made anew: spindb db upgrade does so")
    op.execute("DROP VIEW metric_points")
    _make_runs(states, new=new)
    _make_configs(new=new)
    op.execute(_POINTS)
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise RuntimeError(f"rows without the rows that they belong to: {broken[:3]}")


def _make_runs(states: tuple[str, ...], *, new: bool) -> None:
    connection = op.get_bind()
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").scalar()
    added = (
        (
            sa.Column("superseded_by", sa.Integer(), nullable=True),
            sa.Column("removed_at", sa.DateTime(), nullable=True),
            sa.ForeignKeyConstraint(
                ["superseded_by"], ["runs.id"], name=op.f("fk_runs_superseded_by"), ondelete="CASCADE"
            ),
        )
        if new
        else ()
    )
    unique = ["root_id", "path", "generation"] if new else ["root_id", "path"]
    op.create_table(
        "runs_new",
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
        *added,
        sa.CheckConstraint(f"status IN ({', '.join(map(repr, states))})", name=op.f("ck_runs_status")),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name=op.f("fk_runs_root_id")),
        sa.ForeignKeyConstraint(["copy_of"], ["runs.id"], name=op.f("fk_runs_copy_of"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint(*unique, name=op.f(f"uq_runs_{'_'.join(unique)}")),
        sqlite_autoincrement=True,
    )
    columns = ", ".join(_RUNS)
    op.execute(f"INSERT INTO runs_new ({columns}) SELECT {columns} FROM runs")
    op.drop_table("runs")
    op.rename_table("runs_new", "runs")
    if last is not None:  # an id is never given twice, not even the one of a run that is gone
        op.execute("DELETE FROM sqlite_sequence WHERE name IN ('runs', 'runs_new')")
        op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', {int(last)})")
    _index_runs(new=new)


def _index_runs(*, new: bool) -> None:
    op.create_index(op.f("ix_runs_copy_of"), "runs", ["copy_of"], unique=False)
    op.create_index("ix_runs_env_id", "runs", ["env_id"], unique=False)
    op.create_index("ix_runs_exp_name", "runs", ["exp_name"], unique=False)
    op.create_index("ix_runs_fingerprint", "runs", ["fingerprint"], unique=False)
    op.create_index("ix_runs_name_config_digest", "runs", ["name", "config_digest"], unique=False)
    if new:
        op.create_index(op.f("ix_runs_superseded_by"), "runs", ["superseded_by"], unique=False)


def _make_configs(*, new: bool) -> None:
    connection = op.get_bind()
    added = (sa.Column("canonical", TEXT, nullable=False),) if new else ()
    op.create_table(
        "configs_new",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        *added,
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("raw", TEXT, nullable=True),
        sa.Column("internal", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_configs_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_configs")),
        sqlite_with_rowid=False,
    )
    columns = "run_id, key, type, value, number, raw, internal"
    if new:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.create_function("spindb_canonical", 1, _canonical_of_text, deterministic=True)
        op.execute(
            f"INSERT INTO configs_new ({columns}, canonical) SELECT {columns}, spindb_canonical(value) FROM configs"
        )
    else:
        op.execute(f"INSERT INTO configs_new ({columns}) SELECT {columns} FROM configs")
    op.drop_table("configs")
    op.rename_table("configs_new", "configs")
    op.create_index("ix_configs_key_number_run_id", "configs", ["key", "number", "run_id"], unique=False)
    column = "canonical" if new else "value"
    op.create_index(f"ix_configs_key_{column}_run_id", "configs", ["key", column, "run_id"], unique=False)


def _canonical_of_text(value: str) -> str:
    """Of a value's JSON text; of what is no JSON, which `spindb db check` finds, the text."""
    import json

    try:
        found = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return canonical(str(value))
    return canonical(found)


# PostgreSQL.


def _up_on_postgresql() -> None:
    op.drop_constraint(op.f("ck_runs_status"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_status"), "runs", f"status IN ({', '.join(map(repr, _NEW_STATES))})")
    op.add_column("runs", sa.Column("superseded_by", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("removed_at", sa.DateTime(), nullable=True))
    op.create_foreign_key(op.f("fk_runs_superseded_by"), "runs", "runs", ["superseded_by"], ["id"], ondelete="CASCADE")
    op.create_index(op.f("ix_runs_superseded_by"), "runs", ["superseded_by"], unique=False)
    op.drop_constraint(op.f("uq_runs_root_id_path"), "runs", type_="unique")
    op.create_unique_constraint(op.f("uq_runs_root_id_path_generation"), "runs", ["root_id", "path", "generation"])
    op.execute("DROP STATISTICS st_configs_key_value")
    op.drop_index("ix_configs_key_value_run_id", "configs")
    op.add_column("configs", sa.Column("canonical", TEXT, nullable=True))
    _fill_canonical()
    op.alter_column("configs", "canonical", nullable=False)
    op.create_index("ix_configs_key_canonical_run_id", "configs", ["key", "canonical", "run_id"], unique=False)
    _statistics("canonical")


def _fill_canonical() -> None:
    """By distinct values, which are few beside the rows."""
    connection = op.get_bind()
    connection.exec_driver_sql(
        "CREATE TEMPORARY TABLE canonical_values (value text PRIMARY KEY, canonical text) ON COMMIT DROP"
    )
    distinct = connection.exec_driver_sql("SELECT DISTINCT value FROM configs").scalars().all()
    for pairs in _batches([(value, _canonical_of_text(value)) for value in distinct]):
        connection.exec_driver_sql("INSERT INTO canonical_values VALUES (%s, %s)", pairs)
    connection.exec_driver_sql(
        "UPDATE configs SET canonical = v.canonical FROM canonical_values AS v WHERE v.value = configs.value"
    )


def _batches(pairs: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(pairs), _BATCH):
        yield pairs[start : start + _BATCH]


def _statistics(column: str) -> None:
    op.execute(f"CREATE STATISTICS st_configs_key_{column} (mcv) ON key, {column} FROM configs")
    op.execute(f"ALTER STATISTICS st_configs_key_{column} SET STATISTICS 1000")


def _down_on_postgresql() -> None:
    op.execute("DROP STATISTICS st_configs_key_canonical")
    op.drop_index("ix_configs_key_canonical_run_id", "configs")
    op.drop_column("configs", "canonical")
    op.create_index("ix_configs_key_value_run_id", "configs", ["key", "value", "run_id"], unique=False)
    _statistics("value")
    op.drop_constraint(op.f("uq_runs_root_id_path_generation"), "runs", type_="unique")
    op.create_unique_constraint(op.f("uq_runs_root_id_path"), "runs", ["root_id", "path"])
    op.drop_column("runs", "superseded_by")
    op.drop_column("runs", "removed_at")
    op.drop_constraint(op.f("ck_runs_status"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_status"), "runs", f"status IN ({', '.join(map(repr, _OLD_STATES))})")
