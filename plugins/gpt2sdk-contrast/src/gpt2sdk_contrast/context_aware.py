"""Context-aware decoding: what the context says counts for more than what the model knows."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    Mirror,
    OptionError,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)


class ContextAware(LogitsProcessor):
    """Amplifies what the context changes: `(1 + alpha) * with - alpha * without`.

    `with` are the log-probabilities of the row, `without` those of the same output after the
    prompt without its context: the question alone, where the prompt is a document and a question
    on it. At alpha = 0 it is off. What comes out is not normalised; tokens that one of the two
    has ruled out keep the row's value.

    Shi et al., "Trusting your evidence: hallucinate less with context-aware decoding", 2023,
    arXiv:2305.14739, who take 0.5. It is `guidance_scale` at `1 + alpha`, by the names of that
    paper and with a prompt that must be given.

    Raises:
        OptionError: There is no prompt without its context, it has no tokens, or some that the
            model does not have.

    Example:
        Without the context the odds are 1 : 3, and with it even: they become
        0.5 ** 2 / 0.25 : 0.5 ** 2 / 0.75.

        >>> import torch
        >>> with_context = torch.tensor([[0.5, 0.5]]).log()
        >>> amplify(with_context, torch.tensor([[0.25, 0.75]]).log(), 1.0).exp()
        tensor([[1.0000, 0.3333]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE

    context_aware: Annotated[
        float,
        Field(ge=0.0, description="How much what the context changes is amplified; 0 is off."),
    ] = 0.0
    context_free_prompt: Annotated[
        TextOrIds | None,
        Field(description="The prompt without its context, as text or token ids.", examples=["no"]),
    ] = None

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if self.context_free_prompt is None:
            raise OptionError(
                "context_aware compares with the prompt without its context: give it as "
                "context_free_prompt, with each([...]) for several prompts",
                name="context_free_prompt",
                expected="a text or token ids",
            )

    @override
    def start(self, session: Session) -> ProcessorRun:
        written = self.context_free_prompt
        tokens = (
            tokens_of(written, session, "context_free_prompt", continues=False)
            if written is not None
            else ()
        )
        return _Run(self.context_aware, session.mirror(lambda prompt: tokens or prompt.tokens))


@dataclass(frozen=True)
class _Run:
    """The contrast at work, and the branch without the context."""

    alpha: float
    without: Mirror

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return amplify(logits, self.without.next_logits(rows), self.alpha)


def amplify(logits: Logits, without: Logits, alpha: float) -> Logits:
    """Return `(1 + alpha) * with - alpha * without` of log-probabilities, unnormalised."""
    row, other = logits.log_softmax(-1), without.log_softmax(-1)
    moved = row + alpha * (row - other)
    # What is out stays out, also in a row without tokens, whose log_softmax is NaN.
    kept = row.where(logits.isfinite(), logits)
    return moved.where(row.isfinite() & other.isfinite(), kept)
