"""The chain: components of all requests of a session, started, and found for the rows they act on.

Requests differ in their components, and come and go. Those that have equal ones share a run of it,
so that a processor is called once for all their rows.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar, cast

import torch

from gpt2sdk.components.component import Component, identity
from gpt2sdk.components.drafter import DrafterRun
from gpt2sdk.components.processor import LogitsProcessor, ProcessorRun
from gpt2sdk.components.records import Failure, FinishReason, Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import SamplerRun
from gpt2sdk.components.session import Session
from gpt2sdk.components.stopping import (
    CriterionRun,
    StoppingCriterion,
    TextCriterion,
    TextCriterionRun,
)
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.checks import NOTHING_LEFT, find_fault, formed, one_by_one, raising
from gpt2sdk.session.columns import Entourage
from gpt2sdk.session.followers import Followers
from gpt2sdk.session.request import Lead, Link, Request
from gpt2sdk.session.stations import Started, Station, Stations
from gpt2sdk.shapes import Logits, Tokens

Run = TypeVar("Run")


class Chain:
    """What acts on the rows of a session.

    Attributes:
        processors: Where processors act.
        criteria: Where token criteria act.
        texts: Where text criteria act.
        sampler: What picks tokens.
        drafter: What proposes them; `None` for nothing.
        acting: The component that is at work, or was when something raised; empty for none.
    """

    def __init__(
        self,
        lead: Lead,
        session: Session,
        followers: Followers,
    ) -> None:
        """Start what all requests have in common.

        Args:
            lead: That.
            session: What components are started with.
            followers: What follows the rows, and will do so for components.
        """
        self.processors: Stations[ProcessorRun] = Stations()
        self.criteria: Stations[CriterionRun] = Stations()
        self.texts: Stations[TextCriterionRun] = Stations()
        self.acting = ""
        self._session = session
        self._followers = followers
        self._started: dict[object, Started[object]] = {}
        self._keys: dict[Prompt, set[object]] = {}
        self._call_of: dict[Prompt, int] = {}
        sampler, drafter = lead.sampler, lead.drafter
        self.sampler: Started[SamplerRun] = self._start(sampler.name, sampler, sampler.start)
        self.sampler.entourage.prompts = None
        followers.wake([self.sampler.entourage])
        self.drafter: Started[DrafterRun] | None = None
        if drafter is not None:
            self.drafter = self._start(drafter.name, drafter, drafter.start)
            self.drafter.entourage.prompts = None
            followers.wake([self.drafter.entourage])

    def admit(self, request: Request) -> None:
        """Start the components of a request, as far as no other one has their equals."""
        prompt = request.prompt
        self._keys[prompt] = set()
        self._call_of[prompt] = id(request.meter)
        self.processors.admit(prompt, [self._run(each, prompt) for each in request.processors])
        self.criteria.admit(prompt, [self._run(each, prompt) for each in request.criteria])
        self.texts.admit(prompt, [self._run(each, prompt) for each in request.text_criteria])

    def entourages(self, prompt: Prompt) -> list[Entourage]:
        """What follows a prompt's rows for what acts on them, and not on all rows."""
        return [self._started[key].entourage for key in self._keys[prompt]]

    def release(self, prompt: Prompt) -> None:
        """Let go of what acted on a prompt alone."""
        self.processors.release(prompt)
        self.criteria.release(prompt)
        self.texts.release(prompt)
        self._call_of.pop(prompt, None)
        for key in self._keys.pop(prompt, ()):
            prompts = self._started[key].entourage.prompts
            if prompts is not None:
                prompts.discard(prompt)
                if not prompts:
                    self._followers.leave(self._started.pop(key).entourage.followers)

    def process(self, logits: Logits, rows: Rows) -> tuple[Logits, Mapping[int, Failure]]:
        """Run the processors and check, once and at the end, what comes out.

        Returns:
            The logits, and the rows that failed, by where they stand: those left without a token,
            with NaN or infinity, and those that a processor raises for. Their logits mean nothing.

        Raises:
            PluginContractError: A processor returned a wrong shape or type.
            Exception: A processor raised for all rows; see `one_by_one`.
        """
        try:
            return self._checked(logits, rows)
        except Exception as error:  # noqa: BLE001 - goes on where it is not a single row's
            acting = self.acting
            made, raised = one_by_one(
                rows,
                error,
                lambda at, row: self._checked(logits[at : at + 1], row),
                everywhere=self.acts_everywhere(acting),
                blamed=self.blamed(acting, rows),
            )
        failures = {at: raising(acting, each) for at, each in raised.items()}
        out = logits.clone()
        for at, (alone, found) in made.items():
            out[at] = alone[0]
            failures.update((at, each) for each in found.values())
        self.acting = ""
        return out, failures

    def choose(self, logits: Logits, rows: Rows) -> tuple[Tokens, Mapping[int, Failure]]:
        """Let the sampler pick a token for each of these rows.

        Returns:
            The tokens, -1 for rows that the sampler raises for, and these rows' failures by where
            they stand.

        Raises:
            PluginContractError: It returned something else than a token for each row.
            Exception: It raised for all rows; see `one_by_one`.
        """
        self.acting = self.sampler.component.name
        try:
            tokens = self._choose(logits, rows)
        except Exception as error:  # noqa: BLE001 - goes on where it is not a single row's
            made, raised = one_by_one(
                rows,
                error,
                lambda at, row: self._choose(logits[at : at + 1], row),
                everywhere=self.one_call,
                blamed=None if self.one_call else range(len(rows)),
            )
            tokens = torch.full((len(rows),), -1, dtype=torch.int64, device=logits.device)
            for at, token in made.items():
                tokens[at] = token[0]
            failures = {at: raising(self.acting, each) for at, each in raised.items()}
            self.acting = ""
            return tokens, failures
        self.acting = ""
        return tokens, {}

    def text_criteria(self, prompt: Prompt) -> list[tuple[str, TextCriterionRun, FinishReason]]:
        """The text criteria that act on a prompt: their purposes, runs and reasons."""
        return [
            (station.purpose, started.run, started.component.reason)
            for station in self.texts
            if (started := station.acting.get(prompt)) is not None
            and isinstance(started.component, TextCriterion)
        ]

    @property
    def one_call(self) -> bool:
        """Whether all requests there are belong to one call."""
        return len(set(self._call_of.values())) == 1

    def acts_everywhere(self, purpose: str) -> bool:
        """Whether a component acts on every request there is, and all are of one call."""
        return self.one_call and any(
            station.purpose == purpose and len(station.acting) == len(self._keys)
            for stations in (self.processors, self.criteria)
            for station in stations
        )

    def blamed(self, purpose: str, rows: Rows) -> list[int] | None:
        """Where those rows stand whose fault a component is that raises for none of them alone.

        `None` where all are of one call, which then ends.
        """
        if self.one_call:
            return None
        acting = {
            prompt
            for stations in (self.processors, self.criteria)
            for station in stations
            if station.purpose == purpose
            for prompt in station.acting
        }
        return [at for at, row in enumerate(rows.records) if row.prompt in acting]

    def _checked(self, logits: Logits, rows: Rows) -> tuple[Logits, Mapping[int, Failure]]:
        out = logits
        for station in self.processors:
            out = self._process(station, out, rows)
        self.acting = ""
        peaks: list[float] = out.amax(-1).tolist()
        failed = [at for at, peak in enumerate(peaks) if not isfinite(peak)]
        if not failed:
            return out, {}
        return out, {at: self._fault(logits[at : at + 1], rows.select([at])) for at in failed}

    def _process(self, station: Station[ProcessorRun], logits: Logits, rows: Rows) -> Logits:
        self.acting = station.purpose
        rows = rows.bound(station.purpose)
        out = logits
        for started, index in station.groups(rows):
            if index is None:
                if started.entourage.seen:
                    started.entourage.note(logits, rows.index)
                return formed(started.run.process(logits, rows), logits, station.purpose)
            some, chosen = rows.select(index), torch.tensor(index, device=logits.device)
            part = logits[chosen]
            started.entourage.note(part, some.index)
            if out is logits:
                out = logits.clone()
            out[chosen] = formed(started.run.process(part, some), part, station.purpose)
        return out

    def _choose(self, logits: Logits, rows: Rows) -> Tokens:
        name = self.sampler.component.name
        if self.sampler.entourage.seen:
            self.sampler.entourage.note(logits, rows.index)
        tokens: object = self.sampler.run.choose(logits, rows.bound(name))
        if isinstance(tokens, torch.Tensor) and tokens.shape == logits.shape[:1]:
            return tokens
        got = f"shape {tuple(tokens.shape)}" if isinstance(tokens, torch.Tensor) else repr(tokens)
        message = f"{name} chose {got}, expected one token for each of {len(rows)}"
        raise PluginContractError(message, plugin=name)

    def _fault(self, logits: Logits, row: Rows) -> Failure:
        """Replay the chain link by link on a row, and find the first that left it no number."""
        fault = find_fault(logits)
        if fault is not None:
            return Failure("", f"the model left it {fault}", dead=fault == NOTHING_LEFT)
        for station in self.processors:
            logits = self._process(station, logits, row)
            fault = find_fault(logits)
            if fault is not None:
                break
        name, self.acting = self.acting, ""
        fault = fault or NOTHING_LEFT
        return Failure(name, f"{name} left it {fault}", dead=fault == NOTHING_LEFT)

    def _run(
        self,
        link: Link[LogitsProcessor] | Link[StoppingCriterion] | Link[TextCriterion],
        prompt: Prompt,
    ) -> tuple[str, Started[Any]]:
        started: Started[Any] = self._start(link.purpose, link.component, link.component.start)
        if started.entourage.prompts is not None:
            started.entourage.prompts.add(prompt)
            self._keys[prompt].add((link.purpose, identity(link.component)))
        return link.purpose, started

    def _start(
        self, purpose: str, component: Component, start: Callable[[Session], Run]
    ) -> Started[Run]:
        """A component of several roles is started once, and so is one of several requests."""
        key = purpose, identity(component)
        if key not in self._started:
            entourage = Entourage(
                self._followers.failures, purpose, set(), hold=self._followers.hold
            )
            with self._followers.joining(entourage):
                self._started[key] = Started(component, start(self._session), entourage)
        return cast("Started[Run]", self._started[key])
