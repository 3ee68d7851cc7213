"""When rows end, and with which reason where several hold at once."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from torch import Tensor

from gpt2sdk.components.records import Failure, FinishReason, Row
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.stopping import CriterionRun, StoppingCriterion
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.chain import Chain
from gpt2sdk.session.checks import one_by_one, raising
from gpt2sdk.streaming import Transcript


def settle(
    rows: Rows, tokens: Sequence[int], chain: Chain, transcript: Transcript | None
) -> Mapping[int, Failure]:
    """Give a finish reason to each row that its last token ended.

    The first of these counts: end token, constraint, text, other criteria, length.

    Args:
        rows: All rows of a session.
        tokens: What each of them took; -1 for nothing.
        chain: Where the token criteria are.
        transcript: Where text criteria find their matches; `None` where there are none.

    Returns:
        The rows that a criterion raises for, by their seats.
    """
    found: dict[int, FinishReason] = {}
    failures: dict[int, Failure] = {}
    if chain.criteria:
        _check(rows, tokens, chain, found, failures)
    for seat, (row, token) in enumerate(zip(rows.records, tokens, strict=True)):
        if token >= 0:
            written = None if transcript is None else transcript.rows[seat].end
            text_reason = None if written is None else written[1]
            row.finish_reason = _reason(row, token, found.get(seat), text_reason)
    return failures


def _check(
    rows: Rows,
    tokens: Sequence[int],
    chain: Chain,
    found: dict[int, FinishReason],
    failures: dict[int, Failure],
) -> None:
    """Note the first reason of the token criteria for each row that grew."""
    grown = [seat for seat, token in enumerate(tokens) if token >= 0]
    for station in chain.criteria:
        chain.acting = station.purpose
        some = rows.select(grown).bound(station.purpose)
        for started, index in station.groups(some):
            part = some if index is None else some.select(index)
            check = partial(_ended, started.run, station.purpose)
            try:
                ended = check(0, part)
            except Exception as error:  # noqa: BLE001 - goes on if it is not a single row's
                made, raised = one_by_one(
                    part,
                    error,
                    check,
                    everywhere=chain.acts_everywhere(station.purpose),
                    blamed=chain.blamed(station.purpose, part),
                )
                ended = [made.get(at, [False])[0] for at in range(len(part))]
                for at, each in raised.items():
                    failures[part.index[at]] = raising(station.purpose, each)
            reason = cast("StoppingCriterion", started.component).reason
            for seat, over in zip(part.index, ended, strict=True):
                if over:
                    found.setdefault(seat, over if isinstance(over, str) else reason)
    chain.acting = ""


def _ended(
    run: CriterionRun, purpose: str, _place: int, rows: Rows
) -> Sequence[bool | FinishReason | None]:
    """Which of these rows a criterion ends, with a reason where it says one."""
    mask = run.check(rows)
    if isinstance(mask, list) and len(mask) == len(rows):
        return mask
    if not isinstance(mask, Tensor) or mask.shape != (len(rows),):
        message = (
            f"{purpose} returned {mask!r:.60}, expected a truth value for each of {len(rows)} rows"
        )
        raise PluginContractError(message, plugin=purpose)
    ended: list[bool] = mask.tolist()
    return ended


def _reason(
    row: Row, token: int, found: FinishReason | None, text_reason: FinishReason | None
) -> FinishReason | None:
    if token in row.prompt.eos_token_ids:
        return "end_token"
    if found is not None and found.startswith("constraint"):
        return found
    if text_reason is not None:
        return text_reason
    if found is None and row.grown >= row.prompt.max_new_tokens:
        return "length"
    return found
