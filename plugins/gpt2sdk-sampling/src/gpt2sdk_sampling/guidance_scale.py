"""Guidance: away from what a second prompt would say."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    Mirror,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)


class GuidanceScale(LogitsProcessor):
    """Moves the distribution away from the one after another prompt: `u + s * (l - u)`.

    `l` are the log-probabilities of the row, `u` those of the same output after the negative
    prompt; by default that is the last token of the row's own prompt, as in transformers. At
    s = 1 only the row counts, above 1 what both prompts agree on counts less. Unlike in
    transformers the second branch follows the rows through beams, drafts and refills. Tokens
    that one of the two has ruled out keep the row's value.

    Sanchez et al., "Stay on topic with classifier-free guidance", 2023, arXiv:2306.17806.

    Raises:
        OptionError: The negative prompt has no tokens, or some that the model does not have.

    Example:
        Even odds where the negative prompt expects 1 : 3 become 0.5 ** 2 / 0.25 : 0.5 ** 2 / 0.75.

        >>> import torch
        >>> row, branch = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
        >>> guide(row, branch, 2.0).exp()
        tensor([[1.0000, 0.3333]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE

    guidance_scale: Annotated[
        float, Field(ge=0.0, description="How far from the negative prompt; 1 is off.")
    ] = 1.0
    negative_prompt: Annotated[
        TextOrIds | None,
        Field(description="Text or token ids; None for the prompt's last token."),
    ] = None

    @override
    def start(self, session: Session) -> ProcessorRun:
        written = self.negative_prompt
        tokens = (
            ()
            if written is None
            else tokens_of(written, session, "negative_prompt", continues=False)
        )

        def branch(prompt: Prompt) -> tuple[int, ...]:
            return tokens or prompt.tokens[-1:]

        return _Run(self.guidance_scale, session.mirror(branch))


@dataclass(frozen=True)
class _Run:
    """The scale and the branch after the negative prompt."""

    scale: float
    branch: Mirror

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return guide(logits, self.branch.next_logits(rows), self.scale)


def guide(logits: Logits, negative: Logits, scale: float) -> Logits:
    """Return `u + s * (l - u)` of log-probabilities, unnormalised."""
    row, branch = logits.log_softmax(-1), negative.log_softmax(-1)
    guided = branch + scale * (row - branch)
    # What is out stays out, also in a row without tokens, whose log_softmax is NaN.
    kept = row.where(logits.isfinite(), logits)
    return guided.where(row.isfinite() & branch.isfinite(), kept)
