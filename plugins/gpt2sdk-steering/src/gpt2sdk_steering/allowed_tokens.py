"""A constraint as a potential: a function says which tokens may come next."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from typing_extensions import override

from gpt2sdk import Logits, Rows, Session
from gpt2sdk_steering.continuation import Continuation, continuations
from gpt2sdk_steering.potential import Potential, PotentialRun


@dataclass(frozen=True)
class AllowedTokens(Potential):
    """Weight 1 for texts of which every token was allowed where it stands, else 0.

    As a processor the same constraint forgets how unlikely its tokens were: each step is
    renormalised. As a potential it conditions the model: texts keep their relative probabilities.

    Attributes:
        allowed: What may follow a continuation, as token ids; an end token where it may end.

    Example:
        >>> from gpt2sdk import Prompt
        >>> from gpt2sdk.testing import Letters
        >>> rising = AllowedTokens(lambda it: range(max(it.tokens, default=-1) + 1, 28))
        >>> ab = Continuation("ab", (0, 1), Prompt(0, (5,)), Letters())
        >>> rising.prefix(ab), rising.prefix(ab.then(0))
        (0.0, -inf)
    """

    allowed: Callable[[Continuation], Collection[int]]

    @override
    def prefix(self, continuation: Continuation) -> float:
        steps = zip(continuation.prefixes(), continuation.tokens, strict=True)
        kept = all(token in self.allowed(each) for each, token in steps)
        return 0.0 if kept else -torch.inf

    @override
    def start(self, session: Session) -> PotentialRun:
        def after(logits: Logits, rows: Rows) -> Logits:
            weights = torch.full_like(logits, -torch.inf)
            for row, each in enumerate(continuations(session, rows)):
                weights[row, list(self.allowed(each))] = 0.0
            return weights

        return PotentialRun(after)
