"""Exponential decay: the longer a row gets, the likelier it ends."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, OptionError, Prompt, Rows, Stage

_MOST = 1e200


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Raises the logits of end tokens, more with each token: `z + |z| * (factor ** k - 1)`.

    `k` counts the tokens that a row has beyond the first `start` new ones. A factor below 1 lowers
    them. As in transformers, a logit of 0 stays 0, and the result depends on where the logits'
    zero is. Where the sum is no float it is the largest one; transformers makes it infinite.
    An end token that is ruled out stays so. Without end tokens it is an error.

    Example:
        The second row has one token too many: 4 + 4 (1.5 - 1), and -2 + 2 (1.5 - 1).

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 0, 0], [0, 0, 0, 0]], eos_token_ids=[1, 2])
        >>> decay = ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(2, 1.5))
        >>> process(decay, [[1.0, 4.0, -2.0]] * 2, rows).tolist()
        [[1.0, 4.0, -2.0], [1.0, 6.0, -1.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 60

    exponential_decay_length_penalty: Annotated[
        tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0.0)]] | None,
        Field(
            description="After how many new tokens it starts, and its factor; None is off.",
            examples=[(2, 1.3)],
        ),
    ] = None

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if self.exponential_decay_length_penalty is not None and not prompt.eos_token_ids:
            raise OptionError(
                "exponential_decay_length_penalty raises end tokens, and there are none: expected "
                "eos_token_id, or a model that has end tokens",
                name="exponential_decay_length_penalty",
                value=self.exponential_decay_length_penalty,
            )

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.exponential_decay_length_penalty is None:
            return logits
        start, factor = self.exponential_decay_length_penalty
        # A config may name an end token that is none.
        due = [
            (seat, end, _power(factor, row.grown - start) - 1.0)
            for seat, row in enumerate(rows.records)
            if row.grown > start
            for end in row.prompt.eos_token_ids
            if end < logits.shape[1]
        ]
        if not due:
            return logits
        if logits.device.type == "cpu" and not logits.requires_grad:
            return _raised(logits, due)
        seats, ends, gains = zip(*due, strict=True)
        where = torch.tensor([seats, ends], dtype=torch.int64, device=logits.device).unbind(0)
        now = logits[where].double()
        raised = now + now.abs() * now.new_tensor(gains)
        most = torch.finfo(logits.dtype).max
        raised = raised.clamp(min=-most, max=most).where(now.isfinite(), now)
        return logits.index_put(where, raised.to(logits.dtype))


def _raised(logits: Logits, due: Sequence[tuple[int, int, float]]) -> Logits:
    """Raise these tokens where reading a number of a tensor takes no time: on a CPU."""
    raised = logits.clone()
    numbers = raised.numpy()
    most = torch.finfo(logits.dtype).max
    for seat, end, gain in due:
        now = float(numbers[seat, end])
        if math.isfinite(now):
            numbers[seat, end] = max(-most, min(now + abs(now) * gain, most))
    return raised


def _power(factor: float, exponent: int) -> float:
    """A power, at most what a logit can be multiplied with."""
    try:
        return min(factor**exponent, _MOST)
    except OverflowError:
        return _MOST
