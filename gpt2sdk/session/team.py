"""The team: a plan's components, started and at work in one session."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import DrafterRun
from gpt2sdk.components.records import Failure
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session
from gpt2sdk.components.stopping import TextCriterionRun
from gpt2sdk.errors import PluginContractError
from gpt2sdk.pipeline import Chain, one_by_one, raising, start
from gpt2sdk.session.ending import Ending
from gpt2sdk.session.memory import Memory, everywhere
from gpt2sdk.session.plan import Plan
from gpt2sdk.shapes import Logits, Tokens

Run = TypeVar("Run")


class Team:
    """Chain, sampler, criteria and drafter of a call.

    Attributes:
        chain: The processors.
        ending: The criteria.
        drafter: What proposes tokens; `None` for none.
        wants_hidden_states: Whether somebody reads hidden states.
    """

    def __init__(self, plan: Plan, session: Session, memory: Memory) -> None:
        self._plan = plan
        self._memory = memory
        self._acting = ""
        begin, runs = memory.owned_by, _Runs()
        self.chain = Chain(
            [
                start(
                    link.purpose,
                    link.variants,
                    begin,
                    lambda each: runs.of("processor", each, lambda: each.start(session)),
                )
                for link in plan.processors
            ],
            memory.note,
        )
        criteria = [
            (
                start(
                    link.purpose,
                    link.variants,
                    begin,
                    lambda each: runs.of("criterion", each, lambda: each.start(session)),
                ),
                next(each.reason for each in link.variants if each is not None),
            )
            for link in plan.criteria
        ]
        self.ending = Ending(criteria, plan.eos_token_ids)
        self._text_criteria = [
            (
                start(
                    link.purpose,
                    link.variants,
                    begin,
                    lambda each: runs.of("text criterion", each, lambda: each.start(session)),
                ),
                next(each.reason for each in link.variants if each is not None),
            )
            for link in plan.text_criteria
        ]
        sampler, drafter = plan.sampler, plan.drafter
        with begin(sampler.name, everywhere):
            self._sampler = runs.of("sampler", sampler, lambda: sampler.start(session))
        self.drafter: DrafterRun | None = None
        if drafter is not None:
            with begin(drafter.name, everywhere):
                self.drafter = runs.of("drafter", drafter, lambda: drafter.start(session))

    @property
    def wants_hidden_states(self) -> bool:
        """Whether the strategy or a processor reads hidden states."""
        wants = [self._plan.strategy.wants]
        for link in self._plan.processors:
            wants += [each.wants for each in link.variants if each is not None]
        return any("hidden_states" in each for each in wants)

    @property
    def acting(self) -> str:
        """The component that is at work, or was when something raised; empty for none."""
        return self._acting or self.chain.acting or self.ending.acting

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """Name a component while it works, and keep the name if it raises."""
        self._acting = name
        yield
        self._acting = ""

    def choose(self, logits: Logits, rows: Rows) -> tuple[Tokens, Mapping[int, Failure]]:
        """Let the sampler pick a token for each of these rows.

        Returns:
            The tokens, -1 for rows that the sampler raises for, and these rows' failures by place.
        """
        name = self._plan.sampler.name
        self._acting = name
        failures: Mapping[int, Failure] = {}
        try:
            tokens = self._choose(logits, rows)
        except Exception as error:  # noqa: BLE001 - goes on where it is not a single row's
            made, raised = one_by_one(
                rows, error, lambda place, row: self._choose(logits[place : place + 1], row)
            )
            failures = {place: raising(name, each) for place, each in raised.items()}
            tokens = torch.full((len(rows),), -1, dtype=torch.int64, device=logits.device)
            for place, token in made.items():
                tokens[place] = token[0]
        self._acting = ""
        return tokens, failures

    def _choose(self, logits: Logits, rows: Rows) -> Tokens:
        name = self._plan.sampler.name
        self._memory.note(name, logits, rows.index)
        tokens = self._sampler.choose(logits, rows.bound(name))
        if not isinstance(tokens, torch.Tensor) or tokens.shape != logits.shape[:1]:
            message = f"{name} chose {_shape(tokens)}, expected one token for each of {len(rows)}"
            raise PluginContractError(message, plugin=name)
        return tokens

    def close(self) -> None:
        """Let go of the runs, which may hold the session: nothing can be chosen any more."""
        self.chain, self.ending = Chain((), self._memory.note), Ending((), frozenset())
        self.drafter = None
        self._text_criteria = []
        del self._sampler

    def text_criteria(self, prompt_index: int) -> Sequence[tuple[TextCriterionRun, str]]:
        """The text criteria that act on a prompt, with their reasons."""
        found = ((started.of(prompt_index), reason) for started, reason in self._text_criteria)
        return [(run, reason) for run, reason in found if run is not None]


class _Runs:
    """Starts components. One that has several roles in a call is started once, with one memory.

    One that stands twice in the same role is started for each: `[noise, noise]` is two of them.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[Component, int], object] = {}
        self._seen: Counter[tuple[str, Component]] = Counter()

    def of(self, role: str, component: Component, begin: Callable[[], Run]) -> Run:
        """Return what a component is at work as in a role."""
        key = component, self._seen[role, component]
        self._seen[role, component] += 1
        if key not in self._runs:
            self._runs[key] = begin()
        return cast("Run", self._runs[key])


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
