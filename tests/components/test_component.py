"""Components: frozen, validated, hashable values."""

import re
from collections.abc import Mapping
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gpt2sdk import Component, OptionError
from gpt2sdk.components.component import freeze


class Cut(Component):
    cut: Annotated[float, Field(ge=0, le=1, description="Share.")] = 1.0
    tokens: tuple[int, ...] = ()


def test_the_name_is_the_class_in_snake_case():
    class NoRepeatThing(Component):
        pass

    assert (Cut.name, NoRepeatThing.name) == ("cut", "no_repeat_thing")


def test_the_switch_is_the_first_field_and_its_default_is_neutral():
    assert Cut.switch() == "cut"
    assert Cut.is_neutral(1.0)
    assert not Cut.is_neutral(0.5)


def test_lists_become_tuples_so_components_hash():
    assert hash(Cut(tokens=[1, 2])) == hash(Cut(tokens=(1, 2)))


def test_components_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Cut().cut = 0.5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cut": float("nan")}, "cut should be a finite number, got nan"),
        ({"cut": 2}, "cut should be less than or equal to 1, got 2"),
        ({"cut": True}, "cut should be a valid number, got True"),
        ({"cut": "0.5"}, "cut should be a valid number, got '0.5'"),
        ({"tokens": [1, "a"]}, r"tokens\[1\] should be a valid integer, got 'a'"),
        ({"cutt": 1}, "cutt is not an option of cut: did you mean cut"),
        ({"unlike": 1}, "unlike is not an option of cut: it has cut, tokens"),
    ],
)
def test_bad_values_are_one_line_that_says_what_was_expected(fields, said):
    with pytest.raises(OptionError, match=said) as caught:
        Cut(**fields)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@given(
    st.recursive(
        st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_frozen_values_hash(value):
    hash(freeze(value))


def test_options_are_given_by_name():
    with pytest.raises(OptionError, match=r"cut takes its options by name: Cut\(cut=0.5\)"):
        Cut(0.5)


@pytest.mark.parametrize(
    ("annotation", "instead"),
    [
        (list[int], "its type list[int]: .* write tuple[int, ...]"),
        (list[int] | None, "its type list[int]: .* write tuple[int, ...]"),
        (tuple[list[int], ...], "its type list[int]: .* write tuple[int, ...]"),
        (list, "its type list: .* write tuple[str, ...]"),
        (frozenset[str], "its type frozenset[str]: .* write tuple[str, ...]"),
        (dict[int, float], "its type dict[int, float]: .* write tuple[tuple[int, float], ...]"),
        (Mapping[str, int], "write tuple[tuple[str, int], ...]"),
    ],
)
def test_fields_that_no_value_fits_are_refused_where_the_class_is_defined(annotation, instead):
    pattern = ".*".join(map(re.escape, instead.split(".*")))
    with pytest.raises(TypeError, match=pattern) as caught:
        type("Ban", (Component,), {"__annotations__": {"ban": annotation}, "ban": ()})

    assert str(caught.value).startswith("Ban.ban can never have a value of its type ")
