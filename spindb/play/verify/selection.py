"""Which snapshots are to be verified, and which have a verdict that serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.index.query.runs import pick_snapshot, run_by_id, snapshots_of
from spindb.index.read.verdicts import StoredVerdict, verdicts
from spindb.play.locate import Playable, policy_digest
from spindb.play.verify.playing import VerifyPlan, serves
from spindb.records import SnapshotRecord, latest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot that is to be verified, and its run's name."""

    playable: Playable
    name: str

    @property
    def key(self) -> tuple[int, str]:
        """The run's id and the snapshot's path."""
        assert self.playable.run_id is not None
        return self.playable.run_id, self.playable.snapshot.path


def candidates(connection: Connection, ids: Iterable[int], itr: int | None, *, every: bool) -> Iterator[Candidate]:
    """The snapshots of these runs that are to be verified.

    Args:
        connection: of the index.
        ids: of the runs; one that was overwritten has no snapshots any more.
        itr: which snapshot of each; None for the latest.
        every: all of them instead.

    Raises:
        NotFoundError: a run has no snapshot with that itr.
    """
    for run_id in ids:
        run = run_by_id(connection, run_id)
        # Its files are gone: what lies in the directory now is another training's.
        if run.status == "superseded":
            continue
        saved = snapshots_of(connection, run_id)
        for snapshot in _latest_or_every(saved, every) if itr is None else [pick_snapshot(saved, itr, run.directory)]:
            yield Candidate(Playable(run.directory, snapshot, run.env, run_id, root=run.root), run.name)


def _latest_or_every(saved: Sequence[SnapshotRecord], every: bool) -> list[SnapshotRecord]:
    # A stale save is an earlier training's, whose log is overwritten: there is nothing to compare it with.
    whole = [one for one in saved if not one.unloadable and not one.stale]
    newest = latest(whole)
    return whole if every else [] if newest is None else [newest]


def known_verdicts(
    connection: Connection, chosen: Sequence[Candidate], plan: VerifyPlan
) -> dict[tuple[int, str], StoredVerdict]:
    """Verdicts that were given on these files and are what the plan would give, by the candidates' keys."""
    found = {}
    recorded = verdicts(connection, sorted({one.key[0] for one in chosen}))
    for one in chosen:
        given = recorded.get(one.key)
        if given is None or not serves(given, plan):
            continue
        # Before the digest: a save may be a link to another directory of its root, which is read only from here on.
        one.playable.follow_links()
        # By content, not by time: a file that was written again with the same weights keeps its verdict, and one with
        # others under the same name does not.
        if policy_digest(one.playable) == given.digest:
            found[one.key] = given
    return found
