"""The conformance kit: the promises of each role, as checks to run on a component."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.testing import answer_checks, field_checks, row_checks, text_checks

if TYPE_CHECKING:
    import pytest

Check = Callable[[Any], None]
"""Takes a component of its role; an `AssertionError` says what promise was broken, and when."""

_VALUE: tuple[Check, ...] = (
    field_checks.check_name_and_documentation,
    field_checks.check_value,
    field_checks.check_json,
    field_checks.check_wrong_values_are_refused,
)
_ROWS: tuple[Check, ...] = (
    row_checks.check_a_row_alone_is_as_in_a_batch,
    row_checks.check_rows_may_stand_in_any_order,
    row_checks.check_padding_is_ignored,
    row_checks.check_the_same_again,
    row_checks.check_global_random_numbers_are_left_alone,
    row_checks.check_nothing_waits_for_the_device,
)
_LOGITS = (row_checks.check_logits_are_not_changed_in_place,)
_MEMORY = (row_checks.check_memory_follows_the_rows,)

_CHECKS: dict[type[Component], tuple[Check, ...]] = {
    LogitsProcessor: (
        answer_checks.check_logits_come_out,
        answer_checks.check_tokens_ruled_out_stay_out,
        answer_checks.check_a_token_is_left,
        answer_checks.check_the_neutral_value_changes_nothing,
        *_LOGITS,
        *_ROWS,
        *_MEMORY,
    ),
    Sampler: (
        answer_checks.check_tokens_come_out,
        answer_checks.check_noise_seldom_changes_the_token,
        *_LOGITS,
        *_ROWS,
        *_MEMORY,
    ),
    StoppingCriterion: (
        answer_checks.check_a_mask_comes_out,
        answer_checks.check_the_neutral_value_ends_nothing,
        *_ROWS,
        *_MEMORY,
    ),
    TextCriterion: (
        text_checks.check_ends_are_inside_the_text,
        text_checks.check_text_ends_alike_however_it_is_cut,
        text_checks.check_nothing_leaks,
        text_checks.check_the_neutral_value_ends_no_text,
    ),
    Drafter: (answer_checks.check_proposals_come_out, *_ROWS),
}


def check_processor(processor: LogitsProcessor) -> None:
    """Run every check of logits processors.

    Raises:
        AssertionError: A promise is broken; the message says which, and with what rows.
    """
    _run_all(processor)


def check_sampler(sampler: Sampler) -> None:
    """Run every check of samplers; see `check_processor`."""
    _run_all(sampler)


def check_criterion(criterion: StoppingCriterion) -> None:
    """Run every check of stopping criteria; see `check_processor`."""
    _run_all(criterion)


def check_text_criterion(criterion: TextCriterion) -> None:
    """Run every check of text criteria; see `check_processor`."""
    _run_all(criterion)


def check_drafter(drafter: Drafter) -> None:
    """Run every check of drafters; see `check_processor`."""
    _run_all(drafter)


def parametrize_with_checks(components: Iterable[Component]) -> "pytest.MarkDecorator":
    """Make a test run once for each check of each component.

    Give components whose options do something; each is checked in every role it has.

    Example:
        >>> from gpt2sdk.defaults import Greedy, Multinomial
        >>> @parametrize_with_checks([Greedy(), Multinomial()])
        ... def test_conformance(component, check):
        ...     check(component)
    """
    import pytest  # noqa: PLC0415 - a test tool, and no dependency of the package

    return pytest.mark.parametrize(
        ("component", "check"),
        [
            pytest.param(component, check, id=f"{component!r}-{_title(check)}")
            for component in components
            for check in checks_of(component)
        ],
    )


def checks_of(component: Component) -> Sequence[Check]:
    """The checks of a value, and of every role that a component has; each once."""
    roles = [checks for role, checks in _CHECKS.items() if isinstance(component, role)]
    return list(dict.fromkeys([*_VALUE, *(check for checks in roles for check in checks)]))


def _run_all(component: Component) -> None:
    for check in checks_of(component):
        check(component)


def _title(check: Check) -> str:
    return check.__name__.removeprefix("check_")
