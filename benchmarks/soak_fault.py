"""A plugin in one file whose processor raises now and then."""

import random
from typing import Annotated

from pydantic import Field

from gpt2sdk import Component, Logits, LogitsProcessor, Rows, hookimpl


class SoakFault(LogitsProcessor):
    """Raises with a probability of `soak_fault` at each step; else it changes nothing."""

    soak_fault: Annotated[
        float, Field(ge=0.0, le=1.0, description="Probability of an error at a step; 0 is off.")
    ] = 0.0

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Raise, or hand on what came."""
        # What is to be found are faults that come at any time, so a row's own numbers are no use.
        if random.random() < self.soak_fault:  # noqa: S311 - no secret
            message = "a fault of the soak"
            raise RuntimeError(message)
        return logits


@hookimpl
def gpt2sdk_components() -> tuple[type[Component], ...]:
    """Offer it."""
    return (SoakFault,)
