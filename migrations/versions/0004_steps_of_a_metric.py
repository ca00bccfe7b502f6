"""Metrics with steps of their own; several runs in one directory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIES = sa.Text().with_variant(sa.ARRAY(sa.Double()), "postgresql")

_BEFORE = {
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
_AFTER = {
    "sqlite": """
        CREATE VIEW metric_points AS
        SELECT m.run_id, m.name, p.key AS row,
               CASE WHEN m.steps IS NOT NULL OR a.steps IS NOT NULL THEN NULL
                    WHEN a.series IS NULL THEN p.key
                    ELSE json_extract(a.series, '$[' || p.key || ']') END AS epoch,
               CASE WHEN p.type IN ('integer', 'real') THEN p.value
                    WHEN p.value = 'Infinity' THEN 9e999
                    WHEN p.value = '-Infinity' THEN -9e999 END AS value,
               CASE WHEN p.type = 'text' AND p.value NOT IN ('Infinity', '-Infinity') THEN p.value END AS text,
               CASE WHEN m.steps IS NOT NULL THEN json_extract(m.steps, '$[' || p.key || ']')
                    WHEN s.steps IS NULL THEN json_extract(s.series, '$[' || p.key || ']') END AS step
        FROM metrics AS m
        JOIN runs AS r ON r.id = m.run_id
        LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
        LEFT JOIN metrics AS s ON s.run_id = m.run_id AND s.name = r.steps
        JOIN json_each(m.series) AS p
        """,
    "postgresql": """
        CREATE VIEW metric_points AS
        SELECT m.run_id, m.name, (p.number - 1)::integer AS row,
               CASE WHEN m.steps IS NOT NULL OR a.steps IS NOT NULL THEN NULL
                    WHEN a.series IS NULL THEN p.number - 1
                    ELSE a.series[p.number] END AS epoch,
               CASE WHEN p.cell <> 'NaN' THEN p.cell END AS value,
               CASE WHEN p.cell = 'NaN' THEN 'NaN'
                    WHEN p.cell IS NULL THEN m.odd_cells::json ->> (p.number - 1)::text END AS text,
               CASE WHEN m.steps IS NOT NULL THEN m.steps[p.number]
                    WHEN s.steps IS NULL THEN s.series[p.number] END AS step
        FROM metrics AS m
        JOIN runs AS r ON r.id = m.run_id
        LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
        LEFT JOIN metrics AS s ON s.run_id = m.run_id AND s.name = r.steps
        CROSS JOIN LATERAL unnest(m.series) WITH ORDINALITY AS p (cell, number)
        """,
}


def upgrade() -> None:
    op.add_column("metrics", sa.Column("steps", SERIES))
    op.add_column("runs", sa.Column("part", TEXT))
    if op.get_bind().dialect.name == "postgresql":  # keeps the views that people made of it
        op.execute(_AFTER["postgresql"].replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    else:
        op.execute("DROP VIEW metric_points")
        op.execute(_AFTER["sqlite"])


def downgrade() -> None:
    _refuse_what_would_be_lost()
    op.execute("DROP VIEW metric_points")
    op.drop_column("runs", "part")
    op.drop_column("metrics", "steps")
    op.execute(_BEFORE[op.get_bind().dialect.name])


def _refuse_what_would_be_lost() -> None:
    """Schema 0003 would take the cells of a metric with steps of its own for those of the run's rows.

    Raises:
        RuntimeError: there is such a metric, or a run that shares its directory with others.
    """
    connection = op.get_bind()
    for table, key, column, what in (
        ("metrics", "run_id", "steps", "metrics with steps of their own"),
        ("runs", "id", "part", "a directory that they share with other runs"),
    ):
        statement = f"SELECT DISTINCT {key} FROM {table} WHERE {column} IS NOT NULL ORDER BY {key}"
        found = list(connection.exec_driver_sql(statement).scalars())
        if found:
            listed = ", ".join(map(str, found[:10])) + (", …" if len(found) > 10 else "")
            raise RuntimeError(
                f"schema 0003 can't hold {what}, which {len(found)} runs have (ids {listed}): nothing was changed. "
                f"DELETE FROM {table} WHERE {column} IS NOT NULL drops them"
            )
