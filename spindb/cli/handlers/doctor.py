"""Prints what is wrong with runs."""

from __future__ import annotations

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import Format, print_ids, print_json
from spindb.cli.terminal.tables import echo, plural, say
from spindb.errors import NotFoundError
from spindb.index.read.doctor import examine
from spindb.index.read.finding_codes import CODES
from spindb.views.findings import findings_as_json


def print_findings(selection: Selection, code: str | None, chosen: Format) -> None:
    """Print the findings, all or those of one code.

    Raises:
        NotFoundError: no finding has this code.
    """
    if chosen == "ids" and code is None and selection.words and selection.words[0] in CODES:
        # Until 0.1.0 `--ids` took the finding; a finding's name is no filter that anyone else would type first.
        code, selection = selection.words[0], selection._replace(words=selection.words[1:])
        say(f"note: --ids {code} is now --finding {code} --ids")
    if code is not None and code not in CODES:
        raise NotFoundError(f"unknown finding {code!r}", hint=f"findings: {', '.join(CODES)}")
    with selected_runs(selection) as (connection, ids):
        findings = [found for found in examine(connection, ids) if code in (None, found.code)]
    if chosen == "ids":
        print_ids(sorted({run_id for found in findings for run_id in found.ids}))
    elif chosen == "json":
        print_json(findings_as_json(findings))
    else:
        for found in findings:
            echo(f"{found.code:<12} {found.message}")
            echo(f"{'':<12} {' '.join(map(str, found.ids))}")
        say(f"{plural(len(ids), 'run')}, {plural(len(findings), 'finding') if findings else 'nothing found'}")
