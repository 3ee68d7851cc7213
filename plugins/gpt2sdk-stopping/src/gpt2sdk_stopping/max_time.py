"""Deadline: a call ends after some seconds."""

import time
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import CriterionRun, Mask, Rows, Session, StoppingCriterion


class MaxTime(StoppingCriterion):
    """Ends every row at its next token once the time is up.

    The clock runs for the whole call: prompts that are still waiting then get one token each.
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
        Field(description="How long the whole call may take, in seconds; None is off."),
    ] = None

    @override
    def start(self, session: Session) -> CriterionRun:
        seconds = float("inf") if self.max_time is None else self.max_time
        return _Run(session.started + seconds)


@dataclass(frozen=True)
class _Run:
    """When the time is up, by the monotonic clock."""

    deadline: float

    def check(self, rows: Rows) -> Mask:
        over = time.monotonic() >= self.deadline
        return torch.full((len(rows),), over, dtype=torch.bool, device=rows.device)
