"""Forcing: tokens that come next whatever the model says, to be fed in one pass."""

from collections.abc import Sequence

from gpt2sdk.components.processor import ForcingRun, LogitsProcessor
from gpt2sdk.components.rows import Rows
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.chain import Chain


def forced(chain: Chain, rows: Rows, branch: Branch) -> dict[int, list[int]]:
    """Return what is forced on some of these rows, by where they stand among them.

    It is fed as drafts are, so what is appended is right whatever was said here. It costs no
    credit, and says nothing of a drafter.

    Args:
        chain: Where processors act.
        rows: The rows that are about to be read.
        branch: What the session's model knows of them.
    """
    found: dict[int, list[int]] = {}
    for station in chain.processors:
        if not (issubclass(station.kind, LogitsProcessor) and station.kind.forces):
            continue
        for started, index in station.groups(rows):
            run: ForcingRun = started.run  # type: ignore[assignment]
            places = range(len(rows)) if index is None else index
            for at, tokens in zip(places, run.forced(rows.select(places)), strict=True):
                seat = rows.index[at]
                row = rows.records[at]
                room = row.prompt.max_new_tokens - row.grown - 1
                if tokens and room > 0 and not branch.rows[seat].ahead:
                    found[at] = list(tokens[:room])
                    branch.rows[seat].certain = len(found[at])
    return found


def merged(
    count: int, drafts: Sequence[Sequence[int]] | None, certain: dict[int, list[int]]
) -> list[list[int]]:
    """Return what is fed behind each of `count` rows: what is forced, or else what was drafted."""
    return [certain.get(at) or (list(drafts[at]) if drafts else []) for at in range(count)]
