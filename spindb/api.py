"""A database in Python: `spindb.open`. Tables are pandas data frames, pictures matplotlib figures.

::

    db = spindb.open("spindb.db")
    db.runs("env=CartPole-v1 pi_lr<1e-3")
    db.curves("algo=ppo", ["AverageEpRet", "Entropy"])
    db.compare("env=CartPole-v1", summary="tail:10")
    db.plot("env=CartPole-v1", band="std")
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from spindb.errors import UsageError
from spindb.extras import require_extra
from spindb.index.database.connect import connected
from spindb.index.database.engine import shown_location
from spindb.index.maintenance.describe import describe_database
from spindb.index.query.selection import selected
from spindb.index.read.curves import EPOCH, STEPS, curves_by_id
from spindb.index.read.exports import EXPORTS, column_names, config_values
from spindb.location import find_database
from spindb.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

# pandas, numpy and matplotlib belong to an extra: ids and errors need none of them.
_PANDAS = {"int": "Int64", "float": "float64", "text": "string", "bool": "boolean", "time": "datetime64[us]"}


class Database:
    """Reads a database of runs; nothing here writes.

    Filters are those of the command line; ids, directories and names of runs do as well. Archived and missing runs are
    left out unless a filter speaks of them. Each call opens the database anew, so that it sees what was ingested
    meanwhile.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        with self._reading():  # whoever opens a database that can't be used is told at once
            pass

    def __repr__(self) -> str:
        return f"spindb.open({shown_location(self.location)!r})"

    def _repr_html_(self) -> str:
        with self._reading() as connection:
            facts = describe_database(connection, self.location)
        names = ("database", "schema", "runs", "metrics", "snapshots", "problems", "evaluations")
        cells = "".join(
            f"<tr><th>{name}</th><td>{html.escape(printable(str(facts[name])))}</td></tr>" for name in names
        )
        return f"<table>{cells}</table>"

    def _reading(self) -> AbstractContextManager[Connection]:
        return connected(self.location)

    def ids(self, filter: str = "") -> list[int]:
        """Ids of the runs that a filter selects, ascending."""
        with self._reading() as connection:
            return selected(connection, [filter])

    def runs(self, filter: str = "", *, hyperparameters: bool = True) -> DataFrame:
        """A row per run, indexed by its id.

        Columns are those of ``spindb export runs`` (times in UTC), then, with `hyperparameters`, every key of the
        configs by its dotted path, as Python has the values; NaN where a run has no such key. One that is called like
        a column before it is ``config.KEY``.

        Raises:
            FilterError: the filter can't be read or names something unknown.
        """
        with self._reading() as connection:
            ids = selected(connection, [filter])
            frame = self._frame(connection, "runs", ids).set_index("id")
            if hyperparameters:
                pandas = _pandas()
                values = pandas.DataFrame.from_dict(config_values(connection, ids), orient="index")
                frame = frame.join(_called_apart(values[sorted(values.columns)], [frame.index.name, *frame.columns]))
        return frame

    def curves(self, filter: str = "", metrics: str | Sequence[str] = "Performance") -> DataFrame:
        """A row per logged value, tidy: ``run_id, name, exp_name, seed, metric, row, epoch, steps, value``.

        ``row`` counts from 0; ``epoch`` and ``steps`` are the run's own columns in that row; ``value`` is in the unit
        of the metric, NaN where a cell is no number. ``metric`` is what was asked for, so that ``Performance`` can be
        grouped by although it is another column in on-policy and off-policy runs.

        Raises:
            FilterError: the filter can't be read, or a metric is unknown.
        """
        pandas = _pandas()
        names = [metrics] if isinstance(metrics, str) else list(metrics)
        with self._reading() as connection:
            ids = selected(connection, [filter])
            facts = self._frame(connection, "runs", ids).set_index("id")[["name", "exp_name", "seed"]]
            parts = []
            # Two queries for a metric: steps may be missing where epochs are there, and each falls back for itself.
            for metric in names:
                steps = curves_by_id(connection, ids, metric, STEPS)
                epochs = curves_by_id(connection, ids, metric, EPOCH)
                for run_id, curve in steps.items():
                    rows = range(len(curve.y))
                    columns = {
                        "run_id": run_id,
                        "metric": metric,
                        "row": rows,
                        "epoch": epochs[run_id].x,
                        "steps": curve.x,
                        "value": curve.y,
                    }
                    parts.append(pandas.DataFrame(columns, index=rows))
        titles = ("run_id", "metric", "row", "epoch", "steps", "value")
        found = pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame(columns=titles)
        found = found.join(facts, on="run_id")
        return found[["run_id", "name", "exp_name", "seed", *titles[1:]]]

    def configs(self, filter: str = "") -> DataFrame:
        """A row per hyperparameter and run: the columns of ``spindb export configs``."""
        return self._export("configs", filter)

    def evaluations(self, filter: str = "") -> DataFrame:
        """A row per episode that was played: the columns of ``spindb export evaluations``."""
        return self._export("evaluations", filter)

    def compare(
        self,
        filter: str = "",
        value: str = "Performance",
        summary: str = "last",
        group_by: Sequence[str] = (),
        *,
        lower: bool = False,
    ) -> DataFrame:
        """A row per setting and metric, ranked: statistics over seeds, as `spindb compare` has them.

        A hyperparameter that is called like one of them is ``config.KEY``. ``attrs["notes"]`` says what was left out,
        averaged or assumed.
        """
        with require_extra():
            from spindb.analysis.compare import compare
            from spindb.views.comparison import statistics_of
        pandas = _pandas()
        with self._reading() as connection:
            ids = selected(connection, [filter])
            found = compare(connection, ids, value, summary, group_by, lower=lower)
        settings = pandas.DataFrame([dict(row.setting.values) for row in found.rows], columns=found.keys, dtype=object)
        rows = [
            {
                **statistics_of(row),
                "left_out": row.left_out,
                "p": row.p,
                "verdict": row.verdict,
                "environment": row.setting.environment,
                "metric": row.metric,
                "copies_left_out": len(row.setting.copies),
                "earlier_left_out": len(row.setting.earlier),
                "reruns_averaged": len(row.setting.reruns),
                "assumed_different": len(row.setting.assumed_different),
            }
            for row in found.rows
        ]
        numbers = pandas.DataFrame(rows)
        frame = _called_apart(settings.infer_objects(), list(numbers.columns)).join(numbers)
        frame.index = pandas.Index([row.setting.label for row in found.rows])
        # In attrs, since a warning in a notebook is shown once and then never again.
        frame.attrs["notes"] = found.notes
        return frame

    def plot(self, filter: str = "", value: str | Sequence[str] = "Performance", **options: Any) -> Figure:
        """Learning curves as a figure, which a notebook shows.

        `options` are the fields of `spindb.analysis.drawing.panels.PlotSpec` (``axis``, ``group_by``, ``facet``,
        ``estimator``, ``band``, ``width``, ``per_run``, ``legend``). Warns of what was left out, averaged or drawn
        apart.

        Raises:
            UsageError: an option that is unknown; nothing to draw.
        """
        with require_extra():
            from spindb.analysis.drawing.panels import PlotSpec, arranged
            from spindb.analysis.drawing.plots import draw_curves
        try:
            spec = PlotSpec(values=(value,) if isinstance(value, str) else tuple(value), **options)
        except TypeError as error:
            raise UsageError(
                f"plot: {str(error).partition('() ')[2]}", hint=f"options: {', '.join(PlotSpec.__slots__)}"
            ) from None
        with self._reading() as connection:
            found = arranged(connection, selected(connection, [filter]), spec)
        for note in found.notes:
            warnings.warn(note, stacklevel=2)
        return draw_curves(found.panels, spec.note)

    def _export(self, table: str, filter: str) -> DataFrame:
        with self._reading() as connection:
            return self._frame(connection, table, selected(connection, [filter]))

    @staticmethod
    def _frame(connection: Connection, table: str, ids: Sequence[int]) -> DataFrame:
        export = EXPORTS[table]
        frame = _pandas().DataFrame(list(export.rows(connection, ids)), columns=[c.name for c in export.columns])
        return frame.astype({c.name: _PANDAS[c.kind] for c in export.columns})


def _called_apart(frame: DataFrame, taken: Sequence[Any]) -> DataFrame:
    return frame.rename(columns=column_names(list(frame.columns), taken))


def _pandas() -> Any:
    with require_extra():
        import pandas
    return pandas


def open_database(location: str | Path | None = None) -> Database:
    """The database at a path or URL; without one, as the command line finds it.

    Raises:
        DatabaseError: there is none, or it can't be used.
    """
    return Database(find_database(None if location is None else str(location)))
