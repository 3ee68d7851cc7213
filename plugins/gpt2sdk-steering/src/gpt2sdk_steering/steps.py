"""One step of weighted rows: the distribution of each next token, and what weight it adds."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch

from gpt2sdk import Logits, PluginContractError, Rows, Session, log_normalizer
from gpt2sdk_steering.potential import PotentialRun

AtLimit = Literal["end", "cut"]

DEAD = "zero_weight"
"""The finish reason of a row whose text has no weight."""

RULED_OUT = "ruled_out"
"""That of a row whose text has none since processors rule out every end token at its limit."""

LOST = frozenset({DEAD, RULED_OUT})


class Targets(NamedTuple):
    """What rows are to be drawn from next.

    Attributes:
        logits: One line for each row of the session: log-probability and log weight of each next
            token for those that are to grow, as given for the others.
        gains: For each of those, the logarithm of the total weight of its next tokens.
    """

    logits: Logits
    gains: list[float]


def targets(
    session: Session,
    after: Callable[[Logits, Rows], Logits] | None,
    logits: Logits,
    growing: Sequence[int],
    at_limit: AtLimit,
    *,
    alpha: float | None = None,
) -> Targets:
    """Weigh the next tokens of some rows.

    A row for which one token is left takes an end token where it has one and `at_limit` is
    `"end"`: what it gains is how likely that was, so texts are drawn from those that end in time.
    Where the chain rules all end tokens out, it is ended here.

    Args:
        session: Whose rows they are.
        after: What weighs next tokens; see `PotentialRun`.
        logits: What the chain made of all rows.
        growing: The seats of those that are to grow.
        at_limit: What becomes of rows at their limit.
        alpha: The power that probabilities are raised to. Where it is given, the lines of all
            rows that are to grow are log weights, if nothing else is known of them, too.
    """
    rows = session.rows
    limited = [seat for seat in growing if at_limit == "end" and _is_limited(rows, seat)]
    weighed = limited if after is None and alpha is None else list(growing)
    if not weighed:
        return Targets(logits, [0.0] * len(growing))
    index = torch.tensor(weighed, device=logits.device)
    logprobs = logits[index].log_softmax(-1)
    joint = logprobs if alpha is None else alpha * logprobs
    if after is not None:
        joint = joint + checked(after(logprobs, rows.select(weighed)))
    for seat in limited:
        at, ends = weighed.index(seat), list(rows.records[seat].prompt.eos_token_ids)
        others = torch.ones(joint.shape[1], dtype=torch.bool, device=joint.device)
        others[ends] = False
        joint[at] = joint[at].masked_fill(others, -torch.inf)
        if bool(logprobs[at, ends].isneginf().all()):
            session.finish([seat], RULED_OUT)
    gains = dict(zip(weighed, log_normalizer(joint).tolist(), strict=True))
    return Targets(logits.index_copy(0, index, joint), [gains.get(seat, 0.0) for seat in growing])


def checked(weights: Logits) -> Logits:
    """Make sure that these are log weights.

    Raises:
        PluginContractError: Some are NaN or `+inf`.
    """
    if bool((weights.isnan() | weights.isposinf()).any()):
        message = "a potential gave a next token a log weight of NaN or infinity; expected finite "
        raise PluginContractError(message + "numbers, and -inf for what is ruled out")
    return weights


def weigh(run: PotentialRun, rows: Rows) -> list[float]:
    """Ask a potential for the log weights of rows as they stand.

    Raises:
        PluginContractError: One is NaN or `+inf`, or there are not as many as rows.
    """
    if run.weigh is None or not len(rows):
        return [0.0] * len(rows)
    weights = run.weigh(rows)
    wrong = [each for each in weights if math.isnan(each) or each == math.inf]
    if wrong or len(weights) != len(rows):
        got = f"{len(weights)} log weights for {len(rows)} rows" if not wrong else f"{wrong[0]}"
        message = f"a potential gave {got}; expected a finite number for each row, or -inf"
        raise PluginContractError(message)
    return weights


def _is_limited(rows: Rows, seat: int) -> bool:
    """Whether a row has room for one more token only, and may end by one."""
    row = rows.records[seat]
    return bool(row.prompt.eos_token_ids) and row.grown >= row.prompt.max_new_tokens - 1
