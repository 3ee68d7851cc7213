"""A plan: everything a call's options come to, resolved and checked before any work starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy

C_co = TypeVar("C_co", bound=Component, covariant=True)


@dataclass(frozen=True, slots=True)
class Link(Generic[C_co]):
    """One component's place in a call, the same for all prompts or with a variant for each.

    Attributes:
        purpose: The component's name, `name#1` for its second occurrence, and so on; it keys the
            component's random numbers and names it in errors.
        variants: One component, or one per prompt; `None` where a prompt does without.
    """

    purpose: str
    variants: tuple[C_co | None, ...]

    def of(self, prompt_index: int) -> C_co | None:
        """The component that acts on a prompt's rows."""
        return self.variants[prompt_index if len(self.variants) > 1 else 0]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call is to do.

    Attributes:
        strategy: How rows grow.
        sampler: Which token is picked.
        processors: The chain, in the order it runs.
        criteria: Token criteria, in the order their reasons count.
        text_criteria: Text criteria, likewise.
        drafter: What proposes tokens ahead; `None` for no speculation.
        eos_token_ids: The tokens that end a row.
        max_new_tokens: How many tokens rows may grow by, one for all prompts or one for each;
            `None` for 128 or what fits, whichever is less.
        seeds: Row seeds, one for each prompt.
        num_return_sequences: Completions wanted of each prompt.
        batch_size: Rows (prompts, for strategies whose rows depend on one another) at a time.
        overflow: What happens to a row that is full: `"error"` before any work, or `"slide"`.
        logprobs: Log-probabilities to record: none, raw ones, or those the sampler saw.
        effective: Every option in force by name, as JSON-ready values.
    """

    strategy: Strategy
    sampler: Sampler
    processors: tuple[Link[LogitsProcessor], ...] = ()
    criteria: tuple[Link[StoppingCriterion], ...] = ()
    text_criteria: tuple[Link[TextCriterion], ...] = ()
    drafter: Drafter | None = None
    eos_token_ids: frozenset[int] = frozenset()
    max_new_tokens: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    num_return_sequences: int = 1
    batch_size: int = 32
    overflow: Literal["error", "slide"] = "error"
    logprobs: bool | Literal["processed"] = False
    effective: Mapping[str, object] = field(default_factory=dict)
