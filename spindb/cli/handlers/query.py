"""Saves, lists and deletes queries."""

from __future__ import annotations

from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.tables import plural, print_table, say
from spindb.index.database.connect import connected
from spindb.index.query import saved
from spindb.index.query.question import question_of_tree
from spindb.index.query.search import count


def save_filter(location: str, name: str, text: str) -> None:
    """Save a filter.

    Raises:
        FilterError: it can't be read, or refers to itself; UsageError: the name can't be used.
    """
    with connected(location, write=True) as connection:
        tree = saved.save_query(connection, name, text)
        found = count(connection, question_of_tree(connection, tree))
    say(f"@{name} is {text!r}: {plural(found, 'run')} now")


def show_all(location: str, *, as_json: bool) -> None:
    """Print all saved queries."""
    with connected(location) as connection:
        found = saved.saved(connection)
    if as_json:
        print_json([{"name": name, "text": text} for name, text in found.items()])
    elif found:
        print_table(("name", "filter"), [(f"@{name}", text) for name, text in found.items()])
    else:
        say("no saved query: spindb query save NAME 'FILTER' makes one")


def delete_filter(location: str, name: str) -> None:
    """Delete one.

    Raises:
        NotFoundError: there is none of this name.
    """
    with connected(location, write=True) as connection:
        saved.remove_query(connection, name)
    say(f"@{name} is deleted")
