"""Strategies made of generator functions."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from gpt2sdk import COUNT_RULE, OptionError, Prompt, Session, Step, Strategy, strategy
from gpt2sdk.defaults import Greedy
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.reader import Reader
from gpt2sdk.session.request import Lead, Request
from gpt2sdk.testing import Letters, TableModel


@strategy(
    rows_independent=True,
    hold=lambda width: width + 1,
    draws=False,
    wants=lambda model, width: [-1, width % model.layers],
)
def wide(session: Session, *, width: Annotated[int, Field(ge=1)] = 4) -> Iterator[Step]:
    """Go wide."""
    yield width


@pytest.mark.parametrize("wants", ["hidden_states", {"hidden_states"}, [1, "x"], [True]])
def test_what_names_no_layers_is_not_wanted(wants):
    with pytest.raises(TypeError, match="wants"):

        @strategy(wants=wants)
        def wider(session: Session) -> Iterator[Step]:
            yield session.append([1])


def test_a_class_names_layers_in_a_method():
    said = r"Wider: wants is \(1,\), expected a method that returns layers, such as \[-1\]"
    with pytest.raises(TypeError, match=said):

        class Wider(Strategy):
            wants: ClassVar[tuple[int, ...]] = (1,)


def test_the_function_makes_a_component_of_its_name():
    made = wide.component(width=3)

    assert isinstance(made, Strategy)
    assert (made.name, made.width, made.rows_independent, made.draws) == ("wide", 3, True, False)
    assert made.wants(TableModel(3)) == [-1, 1]
    assert type(made).__doc__ == "Go wide."


def test_hold_may_depend_on_the_options():
    assert wide.component(width=3).hold() == 4


def test_a_prompt_has_as_many_rows_as_its_options_count():
    @strategy
    def counting(
        session: Session,
        *,
        beams: Annotated[int, COUNT_RULE, Field(ge=1)] = 4,
        tries: Annotated[int, Field(ge=1)] = 50,
    ) -> Iterator[Step]:
        yield from ()

    assert wide.component(width=9).rows_per_prompt() == 1
    assert counting.component(beams=3).rows_per_prompt() == 3
    assert counting.component(beams=3).rows_per_prompt(5) == 5


def test_a_strategy_may_count_its_rows_itself():
    @strategy(rows_per_prompt=lambda particles, num_return_sequences: particles * 2)
    def doubling(
        session: Session, *, particles: Annotated[int, COUNT_RULE, Field(ge=1)] = 4
    ) -> Iterator[Step]:
        yield from ()

    assert doubling.component().rows_per_prompt() == 8
    assert doubling.component(particles=1).rows_per_prompt(3) == 3


def test_it_stays_callable_and_its_options_are_checked():
    letters, model = Letters(), TableModel()
    request = Request(Prompt(0, (1,)), Lead(wide.component(), Greedy()))
    session = DecodingSession(Reader(model), letters, letters, [request])

    assert list(wide(session, width=2)) == [2]
    assert list(wide.component(width=5).decode(session)) == [5]
    with pytest.raises(OptionError, match="width should be greater than or equal to 1, got 0"):
        wide(session, width=0)


def test_parameters_must_be_options():
    with pytest.raises(TypeError, match="size must be keyword-only and annotated"):

        @strategy()
        def loose(session: Session, size: int) -> Iterator[Step]:
            yield size
