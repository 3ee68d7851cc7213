"""A language model as a potential: another one, or the same after another prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from typing_extensions import override

from gpt2sdk import CausalLM, Prompt, Session
from gpt2sdk_steering.potential import Potential, PotentialRun


@dataclass(frozen=True)
class MirrorPotential(Potential):
    """Weights a text by its probability under another model, or after another prompt.

    `p * MirrorPotential(model=q)` are two models that have to agree: a product of experts, of
    whole texts and not of steps. `MirrorPotential(prompt) ** 0.5` counts half, in nats.

    It weighs rows of a session only: `prefix` and `complete` of a continuation are not known.

    Attributes:
        prompt: What the other branch continues: a text, or a function from a row's prompt to
            token ids; by default the row's own prompt.
        model: What scores it, with as many tokens; by default the session's model.
    """

    prompt: str | Callable[[Prompt], Sequence[int]] | None = None
    model: CausalLM | None = None

    @override
    def start(self, session: Session) -> PotentialRun:
        mirror = session.mirror(self._tokens(session), self.model)
        return PotentialRun(lambda logits, rows: mirror.next_logits(rows).log_softmax(-1))

    def _tokens(self, session: Session) -> Callable[[Prompt], Sequence[int]]:
        if self.prompt is None:
            return lambda prompt: prompt.tokens
        if isinstance(self.prompt, str):
            tokens = session.vocabulary.encode(self.prompt, allow_special=True)
            return lambda prompt: tokens
        return self.prompt
