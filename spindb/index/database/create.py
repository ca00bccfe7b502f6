"""Makes the schema in an empty database at once, as the models say, and marks it as migrated.

Migrations lead databases of older schemas here; a test compares where both ways end. A new database does
not walk through that history, and its first ingest is spared the import of Alembic.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert

from spindb.index.database.models import APPLICATION_ID, REVISIONS, metadata

# As Alembic makes it.
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# One row per logged value. `value` is NULL where the cell is no number; then `text` says what it is
# ("NaN", or what was written), and both are NULL where the cell was empty. `epoch` is the cell of the
# run's axis in the same row, or the row number where the run has none; a metric with steps of its own
# has no rows in common with the axis. `step` is its own step, or what the run's steps count in that row.
_BESIDE_TABLES = {
    "sqlite": (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
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
    ),
    "postgresql": (
        """
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
        # Which values are frequent per hyperparameter: by itself it takes the two columns for independent.
        "CREATE STATISTICS st_configs_key_number (mcv) ON key, number FROM configs",
        "CREATE STATISTICS st_configs_key_canonical (mcv) ON key, canonical FROM configs",
        "ALTER STATISTICS st_configs_key_number SET STATISTICS 1000",
        "ALTER STATISTICS st_configs_key_canonical SET STATISTICS 1000",
    ),
}

_BEFORE_0004 = """
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

VIEWS = {"metric_points": (_BESIDE_TABLES["sqlite"][1].strip(), _BEFORE_0004.strip())}
"""The views of SQLite files, each with the statement that makes it, and those of earlier schemas."""


def create(connection: Connection) -> None:
    """Make the tables, the view and what the planner needs."""
    metadata.create_all(connection, checkfirst=False)
    for statement in _BESIDE_TABLES[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION), {"version_num": REVISIONS[-1]})
