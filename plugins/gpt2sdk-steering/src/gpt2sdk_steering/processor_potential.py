"""A logits processor as a potential: what it does to logits are log weights of tokens."""

from dataclasses import dataclass

import torch
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Session
from gpt2sdk_steering.potential import Potential, PotentialRun


@dataclass(frozen=True)
class ProcessorPotential(Potential):
    """Weights tokens by what a processor adds to their log-probabilities.

    `next[t] = process(log p)[t] - log p[t]`. In a chain each step is renormalised, which forgets
    how much the processor left of it; here the weights of steps multiply, so that texts keep
    their relative probabilities: with a constraint, texts are drawn from the model conditioned on
    it. A processor that lowers a token by one nat makes each text exp(-1) times as likely for
    each time it has the token.

    It weighs rows of a session only, since it is asked about logits: `prefix` and `complete` of a
    continuation are not known. A processor's memory is given no logits.

    Attributes:
        processor: What is asked.
    """

    processor: LogitsProcessor

    @override
    def start(self, session: Session) -> PotentialRun:
        for prompt in {row.prompt: None for row in session.rows.records}:
            self.processor.check_prompt(prompt)
        run, purpose = self.processor.start(session), f"{self.processor.name}/potential"

        def after(logits: Logits, rows: Rows) -> Logits:
            processed = run.process(logits, rows.bound(purpose))
            out = processed.isneginf() | logits.isneginf()
            return (processed - logits).masked_fill(out, -torch.inf)

        return PotentialRun(after)
