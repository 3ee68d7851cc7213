"""Checks of everything that looks at rows: rows are strangers, and nothing is left behind."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.testing.acting import alike, answer, story
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.situations import Situation, ordinary, situations


def check_a_row_alone_is_as_in_a_batch(component: Component) -> None:
    """A row's answer does not depend on its neighbours."""
    for situation in situations():
        together = answer(component, situation)
        for number in range(len(situation.rows)):
            alone = answer(component, situation.select([number]))
            _assert_alike(component, situation, together[[number]], alone, f"row {number} alone")


def check_rows_may_stand_in_any_order(component: Component) -> None:
    """Rows in another order get the same answers, in that order."""
    order = [3, 0, 4, 2, 1]
    for situation in situations():
        expected = answer(component, situation)[order]
        shuffled = answer(component, situation.select(order))
        _assert_alike(component, situation, expected, shuffled, f"rows in the order {order}")


def check_padding_is_ignored(component: Component) -> None:
    """What stands behind a row's end does not count, be it zeros or tokens taken back."""
    for situation in situations():
        expected = answer(component, situation)
        behind = answer(component, situation, detour=True)
        _assert_alike(component, situation, expected, behind, "with tokens left in the padding")


def check_the_same_again(component: Component) -> None:
    """Equal seeds give equal answers, whatever the state of global random number generators."""
    for situation in situations():
        with _global_seed(1):
            first = answer(component, situation)
        with _global_seed(2):
            again = answer(component, situation)
        _assert_alike(component, situation, first, again, "the second time")


def check_global_random_numbers_are_left_alone(component: Component) -> None:
    """No number is drawn from torch's or numpy's global generator.

    Python's own is used by whatever checks types at run time; `check_the_same_again` finds those.
    """
    torch_before, numpy_before = torch.get_rng_state(), _numpy_state()
    answer(component, ordinary())
    same = torch.equal(torch_before, torch.get_rng_state()) and numpy_before == _numpy_state()
    promise(same, f"{component!r} draws global random numbers: use the rows'")


def check_logits_are_not_changed_in_place(component: Component) -> None:
    """The tensor handed in is as it was afterwards."""
    for situation in situations():
        copy = situation.logits.clone()
        answer(component, situation)
        same = torch.equal(copy, situation.logits)
        promise(same, f"{component!r} changes the logits it is given, with {situation.name}")


def check_nothing_waits_for_the_device(component: Component) -> None:
    """It works on torch's `meta` device, from which nothing can be read, and answers there.

    `Tensor.item`, `tolist`, `nonzero`, a boolean mask as an index, an `if` on a tensor, and
    tensors left on the CPU all fail there. Who needs host data takes `rows.histories()`. A drafter
    with a cost is let be: a model says its tokens before it is fed them.
    """
    if isinstance(component, Drafter) and type(component).cost is not Drafter.cost:
        return
    try:
        found = answer(component, ordinary(), device="meta")
    except (NotImplementedError, RuntimeError) as error:
        raise AssertionError(
            f"{component!r} reads from the device, or mixes devices: {error}"
        ) from error
    promise(found.device.type == "meta", f"{component!r} answers on {found.device}")


def check_memory_follows_the_rows(component: Component) -> None:
    """Rows that were copied, or went on and took it back, are as if they never had."""
    straight = story(component, ordinary())
    astray = story(component, ordinary(), detours=True)
    same = straight == astray
    promise(same, f"{component!r} does not forget what rows took back, or copies share its memory")


def _assert_alike(
    component: Component, situation: Situation, expected: Tensor, found: Tensor, what: str
) -> None:
    message = f"{component!r} with {situation.name}: {what} gives another answer"
    promise(alike(expected, found), f"{message}\nexpected {expected}\nfound {found}")


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Run with other global random numbers, and put the old ones back."""
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global generator is what is meant
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _numpy_state() -> str:
    """The state of numpy's global generator; how many numbers it has given is part of it."""
    return str(np.random.get_state())  # noqa: NPY002
