"""How a comparison is printed for people: a table for each environment and metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spindb.cli.terminal.tables import echo, plural, print_table, say, show
from spindb.index.read.distinguishing import distinguishing_fields, needed
from spindb.index.read.groups import field_value, short_names

if TYPE_CHECKING:
    from spindb.analysis.compare import Comparison, Row
    from spindb.analysis.statistics import Statistics

_MAX_IDS = 10
_MAX_COLUMNS_NAMED = 12
_FURTHER = ("std", "min", "max", "se", "IQM low", "IQM high")


def print_comparison(found: Comparison, summary: str, group_by: tuple[str, ...]) -> None:
    """A table for each environment and metric: what is never ranked together does not stand together."""
    tables = _tables(found)
    dropped: dict[str, None] = {}
    for position, (title, rows) in enumerate(tables.items()):
        if len(tables) > 1:
            if position:
                echo("")
            echo(show(title))
        dropped |= dict.fromkeys(_ranking(rows, group_by))
    what = " or ".join(found.metrics) or "nothing"
    say(f"{summary} of {what}; ±: Student's t; p: Welch against the best, by Holm")
    if dropped:
        more = [f"… ({len(dropped)} columns)"] if len(dropped) > _MAX_COLUMNS_NAMED else []
        say(f"no room for {', '.join([*list(dropped)[:_MAX_COLUMNS_NAMED], *more])} (--csv)")


def _tables(found: Comparison) -> dict[str, list[Row]]:
    """Rows by the title of their table; settings without a value stand below others of their environment."""
    metrics: dict[str, set[str]] = {}
    for environment, metric in found.rankings:
        metrics.setdefault(environment, set()).update({metric} - {""})
    tables: dict[str, list[Row]] = {}
    for (environment, metric), rows in sorted(found.rankings.items(), key=lambda item: (item[0][0], not item[0][1])):
        measured = metric or (min(metrics[environment]) if len(metrics[environment]) == 1 else "no value")
        tables.setdefault(f"{environment}: {measured}", []).extend(rows)
    return tables


def _ranking(rows: list[Row], group_by: tuple[str, ...]) -> list[str]:
    """One table; returns the columns that there was no room for."""
    texts = [row.setting.texts for row in rows]
    keys = list(group_by) or sorted(distinguishing_fields(texts), key=lambda key: (key != "algo", key == "exp_name"))
    titles = short_names(keys)
    names = list(titles.values()) or ["experiment"]
    lines = []
    for row in rows:
        s = row.statistics
        own = [_cell(row, key) for key in keys] if keys else [row.setting.label if group_by else row.setting.name]
        n = f"{s.n if s else 0}" + (f" of {len(row.values) + row.left_out}" if row.left_out else "")
        numbers = [s.median, s.iqm, s.std, s.min, s.max, s.se, s.iqm_low, s.iqm_high] if s else [None] * 8
        p = None if row.p is None else f"{row.p:.2g}"
        lines.append([*own, n, _mean(s), *numbers, p, row.verdict])
    head = [*names, "n", "mean ± 95 %", "median", "IQM", *_FURTHER, "p", ""]
    first = list(keys if group_by else needed(texts, keys))
    ordered = [*first[1:], *(key for key in keys if key not in first)]  # what tells most goes last
    further = [titles[key] for key in ordered]
    numeric = [n for n, key in zip(names, keys, strict=False) if all(_is_number(row, key) for row in rows)]
    right = (*numeric, "n", "p", *head[len(names) + 1 : -1])
    return print_table(head, lines, right=right, droppable=[*further, "median", "IQM", *_FURTHER], fixed=("",))


def _cell(row: Row, key: str) -> str:
    """A hyperparameter as it can be typed; ``-`` where the setting has none."""
    return field_value(row.setting, key)


def _is_number(row: Row, key: str) -> bool:
    text = row.setting.texts.get(key, "0")
    return text[0].isdigit() or text[0] == "-"


def _mean(statistics: Statistics | None) -> str:
    """The mean and half the width of its interval."""
    if statistics is None:
        return ""
    half = "" if statistics.high is None else f" ± {show(statistics.high - statistics.mean)}"
    return show(statistics.mean) + half


def warn(found: Comparison) -> None:
    """Say what else a reader should know of: curves that are cut short, environments that are pooled."""
    if found.cut_short:
        ids = ", ".join(map(str, found.cut_short[:_MAX_IDS])) + (", …" if len(found.cut_short) > _MAX_IDS else "")
        say(f"warning: shorter than other seeds of their setting: {plural(len(found.cut_short), 'run')} ({ids})")
    for row in found.rows:
        if len(row.setting.arenas) > 1:
            count = len(row.setting.arenas)
            say(f"warning: {row.setting.label} pools {count} environments, whose returns don't compare: add env")
            return
