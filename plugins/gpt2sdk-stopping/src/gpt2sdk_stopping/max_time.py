"""Deadline: a prompt's rows end after some seconds."""

import time
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Mask, Rows, StoppingCriterion


class MaxTime(StoppingCriterion):
    """Ends a row at its next token once the time is up.

    A prompt's clock runs from when it was handed in, so it is one for a whole call: prompts that
    are still waiting then get one token each.
    What was generated is kept; so a text may depend on the machine's speed.

    Example:
        >>> MaxTime(max_time=0.0)
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: max_time should be greater than 0, got 0.0
    """

    reason: ClassVar[str] = "max_time"

    max_time: Annotated[
        Annotated[float, Field(gt=0.0)] | None,
        Field(
            description="How long a prompt may take, waiting included, in seconds; None is off.",
            examples=[600.0],  # a check that is slow must not be cut short
        ),
    ] = None

    @override
    def check(self, rows: Rows) -> Mask:
        seconds = float("inf") if self.max_time is None else self.max_time
        now = time.monotonic()
        over = [now - row.prompt.started >= seconds for row in rows.records]
        return torch.tensor(over, dtype=torch.bool, device=rows.device)
