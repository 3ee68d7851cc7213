"""Renormalisation: what is left becomes log-probabilities."""

from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage


class RenormalizeLogits(LogitsProcessor):
    """Subtracts `ln sum exp z_j` from the logits, at the end of the chain.

    What a draw does is the same with and without it. It is for strategies that compare or add up
    what they are given: beams, whose penalties and truncations otherwise take mass away for good.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(RenormalizeLogits(renormalize_logits=True), [[0.0, 0.0]]).exp().tolist()
        [[0.5, 0.5]]
    """

    stage: ClassVar[Stage] = Stage.NORMALIZE

    renormalize_logits: Annotated[
        bool, Field(description="Turn what is left into log-probabilities.")
    ] = False

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not self.renormalize_logits:
            return logits
        # A row without tokens has no sum to subtract.
        return logits.log_softmax(-1).where(logits.isfinite(), logits)
