"""Forcing: tokens that come next whatever the model says, to be fed in one pass."""

from collections.abc import Sequence

from gpt2sdk.components.processor import ForcingRun, LogitsProcessor
from gpt2sdk.components.records import Row
from gpt2sdk.components.rows import Rows
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.chain import Chain


def forced(
    chain: Chain, rows: Rows, branch: Branch, *, together: bool = False
) -> dict[int, list[int]]:
    """Return what is forced on some of these rows, by where they stand among them.

    It is fed as drafts are, so what is appended is right whatever was said here. It costs no
    credit, and says nothing of a drafter.

    Args:
        chain: Where processors act.
        rows: The rows that are about to be read.
        branch: What the session's model knows of them.
        together: Whether rows are read as soon as one has to be, as those of beams are. Then as
            many tokens are forced as the row has that is forced least: more would spare no pass,
            and be in vain for rows that others replace.
    """
    found: dict[int, list[int]] = {}
    free = {
        at
        for at, (seat, row) in enumerate(zip(rows.index, rows.records, strict=True))
        if _room(row) > 0 and not branch.rows[seat].ahead
    }
    for station in chain.processors:
        if not (issubclass(station.kind, LogitsProcessor) and station.kind.forces):
            continue
        for started, index in station.groups(rows):
            run: ForcingRun = started.run  # type: ignore[assignment]
            places = range(len(rows)) if index is None else index
            for at, tokens in zip(places, run.forced(rows.select(places)), strict=True):
                if tokens and at in free:
                    found[at] = list(tokens[: _room(rows.records[at])])
    if together and free:
        # A row that ends before its forced tokens do is read no more.
        ends = {at for at, tokens in found.items() if len(tokens) == _room(rows.records[at])}
        least = min((len(found.get(at, ())) for at in free - ends), default=None)
        found = {at: tokens[:least] for at, tokens in found.items() if least != 0}
    for at, tokens in found.items():
        branch.rows[rows.index[at]].certain = len(tokens)
    return found


def _room(row: Row) -> int:
    """How many tokens a row may take behind its next one."""
    return row.prompt.max_new_tokens - row.grown - 1


def merged(
    count: int, drafts: Sequence[Sequence[int]] | None, certain: dict[int, list[int]]
) -> list[list[int]]:
    """Return what is fed behind each of `count` rows: what is forced, or else what was drafted."""
    return [certain.get(at) or (list(drafts[at]) if drafts else []) for at in range(count)]
