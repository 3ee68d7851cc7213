"""The pipeline: a call's components started in one session, and run in their order."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch

from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import ProcessorRun
from gpt2sdk.components.rows import Rows
from gpt2sdk.errors import PluginContractError
from gpt2sdk.shapes import Logits

C = TypeVar("C", bound=Component)
Run = TypeVar("Run")


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

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Run the chain and check, once and at its end, what comes out.

        Raises:
            PluginContractError: A processor returned NaN, a wrong shape, or left a row no token.
        """
        try:
            out = logits
            for stage in self._stages:
                out = self._run(stage, out, rows)
            fault = find_fault(logits, out)
        except Exception:
            self._blame(logits, rows)
            raise
        if fault:
            self._blame(logits, rows)
        self.acting = ""
        return out

    # Plugins may hand on anything: what came of it is looked at once, at the end of the chain.
    def _run(self, stage: Started[ProcessorRun], logits: Any, rows: Rows) -> Any:  # noqa: ANN401
        self.acting = stage.purpose
        rows = rows.bound(stage.purpose)
        out = logits
        for number, index in stage.groups(rows):
            owner, run = (stage.purpose, number), stage.runs[number]
            if index is None:
                self._note(owner, logits, rows.index)
                return run.process(logits, rows)
            some, chosen = rows.select(index), torch.tensor(index, device=logits.device)
            part = logits[chosen]
            self._note(owner, part, some.index)
            if out is logits:
                out = logits.clone()
            out[chosen] = run.process(part, some)
        return out

    def _blame(self, logits: Logits, rows: Rows) -> None:
        """Replay the chain link by link and name the first that broke the contract."""
        fault = find_fault(logits, logits)
        if fault:
            self.acting = ""
            message = f"the model {fault}"
            raise PluginContractError(message)
        for stage in self._stages:
            before = logits
            try:
                logits = self._run(stage, before, rows)
            except Exception:  # noqa: BLE001 - whoever raises is named; the first error goes on
                return
            fault = find_fault(before, logits)
            if fault:
                message = f"{stage.purpose} {fault}"
                raise PluginContractError(message, plugin=stage.purpose)


def find_fault(before: Logits, after: object) -> str:
    """Say what is wrong with processed logits; nothing, if they are fine."""
    if not isinstance(after, torch.Tensor):
        return f"returned {type(after).__name__}, expected a tensor"
    if not after.is_floating_point():
        return f"returned {after.dtype}, expected a floating point type"
    if after.shape != before.shape:
        return f"returned shape {tuple(after.shape)}, expected {tuple(before.shape)}"
    peaks = after.amax(-1)
    if bool(torch.isfinite(peaks).all()):
        return ""
    row = int((~torch.isfinite(peaks)).nonzero()[0, 0])
    peak = float(peaks[row])
    what = "NaN" if peak != peak else "infinity" if peak > 0 else "no token to choose from"  # noqa: PLR0124
    return f"left row {row} {what}"
