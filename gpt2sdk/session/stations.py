"""Stations: where components of several requests stand in the order that they act in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.session.columns import Entourage

Run = TypeVar("Run")


@dataclass(eq=False, slots=True)
class Started(Generic[Run]):
    """A component at work.

    Attributes:
        component: Its value.
        run: What its start returned.
        entourage: What follows the rows for it, and for which prompts.
    """

    component: Component
    run: Run
    entourage: Entourage


@dataclass(eq=False, slots=True)
class Station(Generic[Run]):
    """One station of the chain, with what acts there on each prompt's rows.

    Attributes:
        purpose: What the components there are called.
        kind: Their class.
        acting: What acts, by prompt.
    """

    purpose: str
    kind: type[Component]
    acting: dict[Prompt, Started[Run]] = field(default_factory=dict)

    def groups(self, rows: Rows) -> list[tuple[Started[Run], list[int] | None]]:
        """Each run with where its rows stand among `rows`; `None` for all of them."""
        groups: dict[Started[Run], list[int]] = {}
        records = rows.records
        for at, row in enumerate(records):
            started = self.acting.get(row.prompt)
            if started is not None:
                groups.setdefault(started, []).append(at)
        return [
            (started, None if len(index) == len(records) else index)
            for started, index in groups.items()
        ]


class Stations(Generic[Run]):
    """The stations of one role, in an order that is every request's own.

    One request has `temperature, top_p` and the next `top_k, top_p`: then the stations are
    `top_k, temperature, top_p`.
    """

    def __init__(self) -> None:
        self._stations: list[Station[Run]] = []

    def __iter__(self) -> Iterator[Station[Run]]:
        return iter(self._stations)

    def __bool__(self) -> bool:
        return bool(self._stations)

    def admit(self, prompt: Prompt, runs: Iterable[tuple[str, Started[Run]]]) -> None:
        """Give a prompt its runs, each with its purpose."""
        at = 0
        for purpose, started in runs:
            at = self._find(purpose, type(started.component), at)
            self._stations[at].acting[prompt] = started
            at += 1

    def release(self, prompt: Prompt) -> None:
        """Forget a prompt, and the stations where nothing acts any more."""
        for station in self._stations:
            station.acting.pop(prompt, None)
        self._stations = [station for station in self._stations if station.acting]

    def _find(self, purpose: str, kind: type[Component], start: int) -> int:
        """The first fitting station from `start` on; a new one there, if there is none."""
        for at in range(start, len(self._stations)):
            if (self._stations[at].purpose, self._stations[at].kind) == (purpose, kind):
                return at
        self._stations.insert(start, Station(purpose, kind))
        return start
