"""Quadratic sampling: a parabola bends the logits, with its top at the best one."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage


class SmoothingFactor(LogitsProcessor):
    """Puts `max - k * d ** 2 - s * d ** 3` in the place of the logit that is `d` below the best.

    `k = f * (3 - c) / 2` and `s = f * (c - 1) / 2`, with `f` the factor and `c` the curve. Tokens
    near the best one come nearer to it, those far from it fall off; the order stays. At `c = 1`
    it is the parabola alone. Below 1 the far end would rise again, above 3 the near one: both are
    refused here, while text-generation-webui takes them.

    text-generation-webui, pull requests 5403 and 5551, 2024, by "kalomaze".

    Example:
        Logits 1 and 2 below the best end up 0.5 and 2 below it, and with curve 3 where it is
        `d ** 3 / 2`, 0.5 and 4.

        >>> from gpt2sdk.testing import process
        >>> process(SmoothingFactor(smoothing_factor=0.5), [[5.0, 4.0, 3.0]]).tolist()
        [[5.0, 4.5, 3.0]]
        >>> cubic = SmoothingFactor(smoothing_factor=0.5, smoothing_curve=3.0)
        >>> process(cubic, [[5.0, 4.0, 3.0]]).tolist()
        [[5.0, 4.5, 1.0]]
    """

    stage: ClassVar[Stage] = Stage.TEMPERATURE
    rank: ClassVar[int] = 10

    smoothing_factor: Annotated[
        float, Field(ge=0.0, description="How steeply logits fall off, per square nat; 0 is off.")
    ] = 0.0
    smoothing_curve: Annotated[
        float,
        Field(ge=1.0, le=3.0, description="How much of a cubic is in it: 1 is none, 3 is all."),
    ] = 1.0

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.smoothing_factor == 0.0:
            return logits
        square = self.smoothing_factor * (3.0 - self.smoothing_curve) / 2.0
        cube = self.smoothing_factor * (self.smoothing_curve - 1.0) / 2.0
        best = logits.amax(-1, keepdim=True)
        below = best - logits
        fall = (below * cube).add_(square).mul_(below).mul_(below)
        # Zero times infinity, where a token is out, is no number.
        return torch.where(logits.isneginf(), logits, best - fall)
