"""Verdicts of evaluations: whether what was played agrees with the training log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COLUMNS = (
    ("verdict", TEXT),
    ("verdict_reason", TEXT),
    ("logged_metric", TEXT),
    ("logged_epoch", sa.BigInteger()),
    ("logged_mean", sa.Double()),
    ("logged_error", sa.Double()),
    ("logged_episodes", sa.Integer()),
    ("logged_range", sa.Double()),
    ("counted_mean", sa.Double()),
    ("difference", sa.Double()),
    ("difference_error", sa.Double()),
    ("power", sa.Double()),
)


def upgrade() -> None:
    for name, type_ in _COLUMNS:
        op.add_column("evaluations", sa.Column(name, type_))


def downgrade() -> None:
    for name, _ in reversed(_COLUMNS):
        op.drop_column("evaluations", name)
