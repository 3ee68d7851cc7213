"""The chain of processors at work."""

from contextlib import contextmanager

import pytest
import torch

from gpt2sdk import LogitsProcessor, PluginContractError
from gpt2sdk.pipeline import Chain, start
from gpt2sdk.testing import make_rows


class Add(LogitsProcessor):
    amount: float = 0.0

    def process(self, logits, rows):
        return logits + self.amount


class Double(LogitsProcessor):
    def process(self, logits, rows):
        return logits * 2


class Broken(LogitsProcessor):
    how: str = ""

    def process(self, logits, rows):
        if self.how == "raise":
            raise ZeroDivisionError("no")
        return {
            "nan": logits * torch.nan,
            "empty": logits - torch.inf,
            "inf": logits + torch.inf,
            "shape": logits[:, :1],
            "type": logits.tolist(),
        }[self.how]


@contextmanager
def begin(owner, scope):
    yield


def chain(*links, note=lambda owner, logits, index: None):
    stages = [
        start(
            f"{next(type(each).__name__ for each in variants if each)}#{number}",
            variants,
            begin,
            lambda each: each,
        )
        for number, variants in enumerate(links)
    ]
    return Chain(stages, note)


ROWS = make_rows([[1], [2], [3]])
LOGITS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_processors_run_in_their_order():
    out, failures = chain((Add(amount=1.0),), (Double(),)).process(LOGITS, ROWS)

    assert failures == {}
    assert out.tolist() == [[4.0, 6.0], [8.0, 10.0], [12.0, 14.0]]


def test_each_prompt_has_its_variant_and_none_leaves_rows_alone():
    variants = (Add(amount=1.0), None, Add(amount=1.0))
    out, _ = chain(variants).process(LOGITS, ROWS)

    assert out.tolist() == [[2.0, 3.0], [3.0, 4.0], [6.0, 7.0]]
    assert LOGITS[0, 0] == 1.0


def test_equal_variants_are_one_run_called_once():
    calls = []
    variants = (Add(amount=1.0), None, Add(amount=1.0))
    chain(variants, note=lambda owner, logits, index: calls.append(list(index))).process(
        LOGITS, ROWS
    )

    assert calls == [[0, 2]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nan", "Broken#1 left it NaN"),
        ("empty", "Broken#1 left it no token to choose from"),
        ("inf", "Broken#1 left it infinity"),
    ],
)
def test_the_culprit_of_a_row_is_found_by_replaying_the_chain(how, said):
    only_second = (None, Broken(how=how), None)
    broken = chain((Add(amount=1.0),), only_second, (Double(),))

    out, failures = broken.process(LOGITS, ROWS)

    assert {1: ("Broken#1", said, how == "empty")} == {
        place: (each.component, each.what, each.dead) for place, each in failures.items()
    }
    assert out[[0, 2]].tolist() == [[4.0, 6.0], [12.0, 14.0]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("shape", r"Broken#1 returned shape \(3, 1\), expected \(3, 2\)"),
        ("type", "Broken#1 returned list"),
    ],
)
def test_what_returns_no_logits_is_named(how, said):
    broken = chain((Add(amount=1.0),), (Broken(how=how),), (Double(),))

    with pytest.raises(PluginContractError, match=said):
        broken.process(LOGITS, ROWS)


class Refuses(LogitsProcessor):
    """Raises where a row's first token is this one."""

    token: int = 0

    def process(self, logits, rows):
        if self.token in [history[0] for history in rows.histories()]:
            raise ZeroDivisionError("no")
        return logits


def test_what_raises_for_one_row_does_its_work_for_the_others():
    refuses = chain((Refuses(token=2),), (Double(),))

    out, failures = refuses.process(LOGITS, ROWS)

    assert {1: ("Refuses#0", "Refuses#0 raised ZeroDivisionError: no")} == {
        place: (each.component, each.what) for place, each in failures.items()
    }
    assert out[[0, 2]].tolist() == [[2.0, 4.0], [10.0, 12.0]]
    assert refuses.acting == ""


def test_whoever_raises_is_known():
    broken = chain((Add(amount=1.0),), (Broken(how="raise"),), (Double(),))

    with pytest.raises(ZeroDivisionError):
        broken.process(LOGITS, ROWS)
    assert broken.acting == "Broken#1"


def test_a_model_that_gives_nan_is_blamed_itself():
    _, failures = chain((Double(),)).process(torch.tensor([[1.0], [torch.nan], [1.0]]), ROWS)

    assert {1: ("", "the model left it NaN")} == {
        place: (each.component, each.what) for place, each in failures.items()
    }
