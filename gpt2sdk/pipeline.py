"""The pipeline: a call's components started in one session, and run in their order."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import ProcessorRun
from gpt2sdk.components.records import Failure
from gpt2sdk.components.rows import Rows
from gpt2sdk.errors import (
    ContextOverflowError,
    GPT2SDKError,
    OptionError,
    PluginContractError,
    TokenizerError,
)
from gpt2sdk.shapes import Logits

C = TypeVar("C", bound=Component)
Run = TypeVar("Run")
Made = TypeVar("Made")

BAD_INPUT = (OptionError, TokenizerError, ContextOverflowError)
"""Errors that say that the call is wrong, not a row."""

NOTHING_LEFT = "no token to choose from"


@dataclass(frozen=True)
class Started(Generic[Run]):
    """One component at work: a run for each distinct variant.

    Attributes:
        purpose: What it is called in this call.
        runs: The runs of the distinct variants.
        choice: For each prompt the number of the run that acts on it, `None` for no run; a single
            entry stands for all prompts.
    """

    purpose: str
    runs: tuple[Run, ...]
    choice: tuple[int | None, ...]

    def number(self, prompt_index: int) -> int | None:
        """Which run acts on a prompt."""
        return self.choice[prompt_index if len(self.choice) > 1 else 0]

    def of(self, prompt_index: int) -> Run | None:
        """The run that acts on a prompt."""
        number = self.number(prompt_index)
        return None if number is None else self.runs[number]

    def groups(self, rows: Rows) -> list[tuple[int, list[int] | None]]:
        """Each run's number and the places of its rows among `rows`; `None` for all of them."""
        if len(self.choice) == 1:
            return [(0, None)] if self.runs else []
        places: dict[int, list[int]] = {}
        for place, row in enumerate(rows.records):
            number = self.number(row.prompt.index)
            if number is not None:
                places.setdefault(number, []).append(place)
        return [
            (number, None if len(index) == len(rows) else index) for number, index in places.items()
        ]


class Begin(Protocol):
    """Marks what is made meanwhile as belonging to a run."""

    def __call__(self, owner: object, scope: Callable[[int], bool]) -> AbstractContextManager[None]:
        """Enter for a run's key and the prompts, by index, that the run acts on."""


def start(
    purpose: str, variants: Sequence[C | None], begin: Begin, make: Callable[[C], Run]
) -> Started[Run]:
    """Start the distinct variants of a component.

    Args:
        purpose: What it is called in this call.
        variants: One component, or one per prompt; `None` where a prompt does without.
        begin: Entered around each start.
        make: Starts one variant.
    """
    distinct: dict[C, int] = {}
    choice = tuple(
        None if variant is None else distinct.setdefault(variant, len(distinct))
        for variant in variants
    )
    runs = []
    for variant, number in distinct.items():

        def acts_on(prompt_index: int, number: int = number) -> bool:
            return choice[prompt_index if len(choice) > 1 else 0] == number

        with begin((purpose, number), acts_on):
            runs.append(make(variant))
    return Started(purpose, tuple(runs), choice)


class Note(Protocol):
    """Is told what each run is given."""

    def __call__(self, owner: object, logits: Logits, index: Sequence[int]) -> None:
        """Take note of a run's key, its logits and the session places of their rows."""


class Chain:
    """The ordered processors of a call.

    Attributes:
        acting: The processor that is at work, or was when something raised.
    """

    def __init__(self, stages: Sequence[Started[ProcessorRun]], note: Note) -> None:
        self.acting = ""
        self._stages = tuple(stages)
        self._note = note

    def __bool__(self) -> bool:
        return bool(self._stages)

    def process(self, logits: Logits, rows: Rows) -> tuple[Logits, Mapping[int, Failure]]:
        """Run the chain and check, once and at its end, what comes out.

        Returns:
            The logits, and the rows that failed, by their places: those left without a token, with
            NaN or infinity, and those that a processor raises for. Their logits mean nothing.

        Raises:
            PluginContractError: A processor returned a wrong shape or type.
            Exception: A processor raised for all rows; see `one_by_one`.
        """
        try:
            return self._checked(logits, rows)
        except Exception as error:  # noqa: BLE001 - goes on where it is not a single row's
            acting = self.acting
            made, raised = one_by_one(
                rows, error, lambda place, row: self._checked(logits[place : place + 1], row)
            )
        failures = {place: raising(acting, each) for place, each in raised.items()}
        out = logits.clone()
        for place, (alone, found) in made.items():
            out[place] = alone[0]
            failures.update((place, each) for each in found.values())
        self.acting = ""
        return out, failures

    def _checked(self, logits: Logits, rows: Rows) -> tuple[Logits, Mapping[int, Failure]]:
        out = logits
        for stage in self._stages:
            out = self._run(stage, out, rows)
        self.acting = ""
        finite = torch.isfinite(out.amax(-1))
        if bool(finite.all()):
            return out, {}
        failed = [place for place, fine in enumerate(finite.tolist()) if not fine]
        return out, {
            place: self._fault(logits[place : place + 1], rows.select([place])) for place in failed
        }

    def _run(self, stage: Started[ProcessorRun], logits: Logits, rows: Rows) -> Logits:
        self.acting = stage.purpose
        rows = rows.bound(stage.purpose)
        out = logits
        for number, index in stage.groups(rows):
            owner, run = (stage.purpose, number), stage.runs[number]
            if index is None:
                self._note(owner, logits, rows.index)
                return self._formed(run.process(logits, rows), logits)
            some, chosen = rows.select(index), torch.tensor(index, device=logits.device)
            part = logits[chosen]
            self._note(owner, part, some.index)
            if out is logits:
                out = logits.clone()
            out[chosen] = self._formed(run.process(part, some), part)
        return out

    def _formed(self, after: object, before: Logits) -> Logits:
        """Check the form of what the acting processor returned."""
        if not isinstance(after, torch.Tensor):
            wrong = f"{type(after).__name__}, expected a tensor"
        elif not after.is_floating_point():
            wrong = f"{after.dtype}, expected a floating point type"
        elif after.shape != before.shape:
            wrong = f"shape {tuple(after.shape)}, expected {tuple(before.shape)}"
        else:
            return after
        raise PluginContractError(f"{self.acting} returned {wrong}", plugin=self.acting)

    def _fault(self, logits: Logits, row: Rows) -> Failure:
        """Replay the chain link by link on a row, and find the first that left it no number."""
        fault = find_fault(logits)
        if fault is not None:
            return Failure("", f"the model left it {fault}", dead=fault == NOTHING_LEFT)
        for stage in self._stages:
            logits = self._run(stage, logits, row)
            fault = find_fault(logits)
            if fault is not None:
                break
        name, self.acting = self.acting, ""
        fault = fault or NOTHING_LEFT
        return Failure(name, f"{name} left it {fault}", dead=fault == NOTHING_LEFT)


def find_fault(logits: Logits) -> str | None:
    """Say what is wrong with a row's logits; nothing, if a token can be chosen."""
    peak = float(logits.amax())
    if math.isfinite(peak):
        return None
    return "NaN" if math.isnan(peak) else "infinity" if peak > 0 else NOTHING_LEFT


def one_by_one(
    rows: Rows, error: Exception, act: Callable[[int, Rows], Made]
) -> tuple[dict[int, Made], dict[int, Exception]]:
    """Find out for which rows a component raises: it has no side effects, so it is tried on each.

    Args:
        rows: The rows it raised for.
        error: What it raised.
        act: Lets it act on one row, given the row's place among them.

    Returns:
        What it made of rows, and what it raised for others, by their places.

    Raises:
        Exception: The error itself where it is nothing of single rows: it says that the call is
            wrong, is raised for every row of several prompts, or for no row alone.
    """
    if isinstance(error, BAD_INPUT):
        raise error
    if len(rows) == 1:
        return {}, {0: error}
    made: dict[int, Made] = {}
    raised: dict[int, Exception] = {}
    for place in range(len(rows)):
        try:
            made[place] = act(place, rows.select([place]))
        except Exception as each:  # noqa: BLE001 - becomes the row's failure
            raised[place] = each
    prompts = {row.prompt.index for row in rows.records}
    if not raised or (not made and len(prompts) > 1):
        raise error
    return made, raised


def raising(name: str, error: Exception) -> Failure:
    """Say of a row that a component raised for it."""
    raised = f"{name} raised {type(error).__name__}: {error}"
    return Failure(name, str(error) if isinstance(error, GPT2SDKError) else raised, error)
