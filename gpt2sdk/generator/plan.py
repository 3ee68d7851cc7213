"""A plan: everything a call's options come to, resolved and checked before any work starts."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Delta, Prompt
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.session.request import Lead, Link, Meter, Request

C_co = TypeVar("C_co", bound=Component, covariant=True)


@dataclass(frozen=True, slots=True)
class Variants(Generic[C_co]):
    """What stands in one place of a call's chain: the same for all prompts, or one for each.

    Attributes:
        purpose: As in `Link`.
        components: One component, or one per prompt; `None` where a prompt does without.
    """

    purpose: str
    components: tuple[C_co | None, ...]

    def link(self, prompt: int) -> Link[C_co] | None:
        """What acts on a prompt's rows."""
        component = self.components[prompt if len(self.components) > 1 else 0]
        return None if component is None else Link(self.purpose, component)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call is to do.

    Attributes:
        lead: What makes its rows grow.
        processors: The chain, in the order it runs.
        criteria: Token criteria, in the order their reasons count.
        text_criteria: Text criteria, likewise.
        eos_token_ids: The tokens that end a row.
        max_new_tokens: How many tokens rows may grow by, one for all prompts or one for each;
            `None` for 128 or what fits, whichever is less.
        seeds: Row seeds, one for each prompt.
        batch_size: Rows (prompts, for strategies whose rows depend on one another) at a time.
        logprobs: Log-probabilities to record: none, raw ones, or those the sampler saw.
        effective: Every option in force by name, as JSON-ready values.
    """

    lead: Lead
    processors: tuple[Variants[LogitsProcessor], ...] = ()
    criteria: tuple[Variants[StoppingCriterion], ...] = ()
    text_criteria: tuple[Variants[TextCriterion], ...] = ()
    eos_token_ids: frozenset[int] = frozenset()
    max_new_tokens: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    batch_size: int = 32
    logprobs: bool | Literal["processed"] = False
    effective: Mapping[str, object] = field(default_factory=dict)

    def requests(
        self, prompts: Sequence[Prompt], *, streaming: bool, cancelled: Callable[[], bool]
    ) -> list[Request]:
        """Make a request of each prompt; they share an outbox and a meter."""
        outbox: deque[Delta] = deque()
        meter = Meter()
        return [
            Request(
                prompt,
                self.lead,
                processors=_links(self.processors, prompt.index),
                criteria=_links(self.criteria, prompt.index),
                text_criteria=_links(self.text_criteria, prompt.index),
                logprobs=self.logprobs,
                streaming=streaming,
                cancelled=cancelled,
                outbox=outbox,
                meter=meter,
            )
            for prompt in prompts
        ]


def _links(chain: Sequence[Variants[C_co]], prompt: int) -> tuple[Link[C_co], ...]:
    links = (variants.link(prompt) for variants in chain)
    return tuple(link for link in links if link is not None)
