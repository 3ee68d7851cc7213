"""The conformance kit: the promises of each role, as checks to run on a component."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

from gpt2sdk.components.component import Component
from gpt2sdk.components.detector import Detector
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy, StrategyFunction
from gpt2sdk.testing import (
    answer_checks,
    copy_checks,
    detector_checks,
    field_checks,
    generation_checks,
    row_checks,
    strategy_checks,
    text_checks,
)
from gpt2sdk.testing.remedies import REMEDIES

if TYPE_CHECKING:
    import pytest

Check = Callable[[Any], None]
"""Takes a component of its role; an `AssertionError` says what promise was broken, and when."""

_ADDRESS = re.compile(" at 0x[0-9A-Fa-f]+")

_VALUE: tuple[Check, ...] = (
    field_checks.check_value,
    field_checks.check_json,
    field_checks.check_wrong_values_are_refused,
    field_checks.check_name_and_documentation,
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
_MEMORY: tuple[Check, ...] = (
    row_checks.check_memory_follows_the_rows,
    copy_checks.check_copies_have_memories_of_their_own,
)
_BEAMS = (copy_checks.check_beams_are_as_if_each_were_read_anew,)
_CALLS: tuple[Check, ...] = (
    generation_checks.check_a_prompt_alone_is_as_among_others,
    generation_checks.check_drafts_change_nothing,
)

# Of each role the first check is of what comes out at all; the others build on it.
_CHECKS: dict[type[Component], tuple[Check, ...]] = {
    LogitsProcessor: (
        answer_checks.check_logits_come_out,
        answer_checks.check_nothing_is_nan,
        answer_checks.check_tokens_ruled_out_stay_out,
        answer_checks.check_a_token_is_left,
        answer_checks.check_a_row_without_tokens_stays_so,
        answer_checks.check_the_neutral_value_changes_nothing,
        *_LOGITS,
        *_ROWS,
        *_MEMORY,
        *_BEAMS,
        *_CALLS,
    ),
    Sampler: (
        answer_checks.check_tokens_come_out,
        answer_checks.check_noise_seldom_changes_the_token,
        *_LOGITS,
        *_ROWS,
        *_MEMORY,
        *_CALLS,
    ),
    StoppingCriterion: (
        answer_checks.check_a_mask_comes_out,
        answer_checks.check_the_neutral_value_ends_nothing,
        *_ROWS,
        *_MEMORY,
        *_BEAMS,
        *_CALLS,
    ),
    TextCriterion: (
        text_checks.check_ends_are_inside_the_text,
        text_checks.check_text_ends_alike_however_it_is_cut,
        text_checks.check_nothing_leaks,
        text_checks.check_the_neutral_value_ends_no_text,
        *_BEAMS,
        *_CALLS,
    ),
    Drafter: (
        answer_checks.check_proposals_come_out,
        *_ROWS,
        generation_checks.check_proposals_change_nothing,
    ),
    Strategy: (
        strategy_checks.check_it_comes_to_an_end,
        strategy_checks.check_several_completions_are_given,
        strategy_checks.check_streams_are_what_is_generated,
        strategy_checks.check_processors_are_minded,
        strategy_checks.check_end_tokens_end,
        strategy_checks.check_equal_seeds_give_equal_texts,
        strategy_checks.check_what_draws_says_so,
        strategy_checks.check_independent_rows_are,
        *_CALLS,
    ),
    Detector: (
        detector_checks.check_detections_come_out,
        detector_checks.check_texts_without_a_mark_are_seldom_found,
        detector_checks.check_what_stood_before_is_not_judged,
        detector_checks.check_the_same_detection_again,
    ),
}


def check_processor(processor: LogitsProcessor) -> None:
    """Run every check of logits processors: what it does, then what it is as a value.

    Raises:
        AssertionError: Promises are broken; the message says which, and with what rows. If what
            it returns is of the wrong kind, nothing else is said of what it does.
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


def check_strategy(strategy: Strategy | StrategyFunction[...]) -> None:
    """Run every check of strategies; see `check_processor`.

    Args:
        strategy: A component, as `mine.component(option=…)` makes it; a function whose options all
            have defaults stands for the component with these.
    """
    _run_all(strategy.component() if isinstance(strategy, StrategyFunction) else strategy)


def check_detector(detector: Detector) -> None:
    """Run every check of detectors; see `check_processor`."""
    _run_all(detector)


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
            pytest.param(component, check, id=f"{_named(component)}-{check_title(check)}")
            for component in components
            for check in checks_of(component)
        ],
    )


def checks_of(component: Component) -> Sequence[Check]:
    """The checks of every role that a component has, and of a value; each once."""
    return list(dict.fromkeys([*_of_roles(component), *_VALUE]))


def findings(component: Component) -> Iterator[tuple[Check, str, Exception | None]]:
    """Run the checks of a component, and yield each with what it found and the error behind it.

    Where the first check of a role fails, what comes out is of the wrong kind, and the role's
    others say nothing new; all else that is wrong is found at once.
    """
    first = {checks[0] for checks in _CHECKS.values()}
    skipped: set[Check] = set()
    for check in checks_of(component):
        if check in skipped:
            continue
        try:
            check(component)
        except Exception as error:  # noqa: BLE001 - whatever a component raises
            skipped |= set(_of_roles(component)) if check in first else set()
            yield check, _told(check, component, error), error
        else:
            yield check, "", None


def _of_roles(component: Component) -> list[Check]:
    roles = [checks for role, checks in _CHECKS.items() if isinstance(component, role)]
    return [check for checks in roles for check in checks]


def _run_all(component: Component) -> None:
    """Run every check, and raise what was found in one error."""
    found = {fault: error for _, fault, error in findings(component) if error is not None}
    if found:
        raise AssertionError(_summary(component, list(found))) from next(iter(found.values()))


def _told(check: Check, component: Component, error: Exception) -> str:
    """Say what a check found, which promise that breaks, and what to do."""
    raised = f"{component!r} raises {type(error).__name__} in {check_title(check)}: {error}"
    found = str(error) if isinstance(error, AssertionError) else raised
    words = " ".join(inspect.getdoc(check).partition("\n\n")[0].split())  # type: ignore[union-attr]
    remedy = REMEDIES.get(check_title(check))
    told = [found, f"promised: {words}"]
    return "\n".join([*told, f"to do: {remedy}"] if remedy else told)


def _summary(component: Component, found: Sequence[str]) -> str:
    """Say everything that was found; a single finding as it is."""
    if len(found) == 1:
        return found[0]
    points = [indent(each, "  ").replace("  ", "- ", 1) for each in found]
    return "\n".join([f"{component!r} breaks {len(found)} promises:", *points])


def _named(component: Component) -> str:
    """Show a component alike in every process: without the addresses of functions and models."""
    return _ADDRESS.sub("", repr(component))


def check_title(check: Check) -> str:
    """Return what a check looks at."""
    return check.__name__.removeprefix("check_")
