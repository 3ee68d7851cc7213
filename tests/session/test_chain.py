"""The chain of processors at work."""

import pytest
import torch

from gpt2sdk import LogitsProcessor, PluginContractError


class Add(LogitsProcessor):
    amount: float = 0.0

    def process(self, logits, rows):
        return logits + self.amount


class Double(LogitsProcessor):
    def process(self, logits, rows):
        return logits * 2


CALLS = []


class Telling(Add):
    def process(self, logits, rows):
        CALLS.append(list(rows.index))
        return super().process(logits, rows)


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


LOGITS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


@pytest.fixture
def process(open_session):
    """Return what runs a chain on three rows; a list in it has a component for each."""

    def run(*chain):
        session = open_session(["a", "b", "c"], chain=list(chain))
        return session.course.chain.process(LOGITS, session.rows)

    return run


class Refuses(LogitsProcessor):
    """Raises where a row's first token is this one."""

    token: int = -1

    def process(self, logits, rows):
        if self.token in [history[0] for history in rows.histories()]:
            raise ZeroDivisionError("no")
        return logits


def test_processors_run_in_their_order(process):
    out, failures = process(Add(amount=1.0), Double())

    assert failures == {}
    assert out.tolist() == [[4.0, 6.0], [8.0, 10.0], [12.0, 14.0]]


def test_each_prompt_has_its_component_and_none_leaves_rows_alone(process):
    out, _ = process([Add(amount=1.0), None, Add(amount=1.0)])

    assert out.tolist() == [[2.0, 3.0], [3.0, 4.0], [6.0, 7.0]]
    assert LOGITS[0, 0] == 1.0


def test_equal_components_are_one_run_called_once(process):
    CALLS.clear()
    process([Telling(amount=1.0), None, Telling(amount=1.0)])

    assert CALLS == [[0, 2]]


def test_requests_with_other_chains_keep_their_order(process):
    # The second stands between what the others have in common, and the third does without both.
    out, _ = process([Double(), Double(), None], [None, Add(amount=1.0), None], Double())

    assert out.tolist() == [[4.0, 8.0], [14.0, 18.0], [10.0, 12.0]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nan", "broken left it NaN"),
        ("empty", "broken left it no token to choose from"),
        ("inf", "broken left it infinity"),
    ],
)
def test_the_culprit_of_a_row_is_found_by_replaying_the_chain(how, said, process):
    out, failures = process(Add(amount=1.0), [None, Broken(how=how), None], Double())

    assert {1: ("broken", said, how == "empty")} == {
        place: (each.component, each.what, each.dead) for place, each in failures.items()
    }
    assert out[[0, 2]].tolist() == [[4.0, 6.0], [12.0, 14.0]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("shape", r"broken returned shape \(3, 1\), expected \(3, 2\)"),
        ("type", "broken returned list"),
    ],
)
def test_what_returns_no_logits_is_named(how, said, process):
    with pytest.raises(PluginContractError, match=said):
        process(Add(amount=1.0), Broken(how=how), Double())


def test_what_raises_for_one_row_does_its_work_for_the_others(open_session):
    session = open_session(["a", "b", "c"], chain=[Refuses(token=1), Double()])
    out, failures = session.course.chain.process(LOGITS, session.rows)

    assert {1: ("refuses", "refuses raised ZeroDivisionError: no")} == {
        place: (each.component, each.what) for place, each in failures.items()
    }
    assert out[[0, 2]].tolist() == [[2.0, 4.0], [10.0, 12.0]]
    assert session.course.acting == "sample"


def test_whoever_raises_for_all_is_known(open_session):
    chain = [Add(amount=1.0), Broken(how="raise"), Double()]
    session = open_session(["a", "b", "c"], chain=chain)

    with pytest.raises(ZeroDivisionError):
        session.course.chain.process(LOGITS, session.rows)
    assert session.course.acting == "broken"


def test_what_raises_for_all_its_rows_leaves_requests_without_it_alone(open_session):
    chain = [[Broken(how="raise"), Broken(how="raise"), None], Double()]
    session = open_session(["a", "b", "c"], chain=chain)
    out, failures = session.course.chain.process(LOGITS, session.rows)

    assert [0, 1] == list(failures)
    assert [10.0, 12.0] == out[2].tolist()


def test_a_model_that_gives_nan_is_blamed_itself(open_session):
    session = open_session(["a", "b"], chain=[Double()])
    _, failures = session.course.chain.process(torch.tensor([[1.0], [torch.nan]]), session.rows)

    assert {1: ("", "the model left it NaN")} == {
        place: (each.component, each.what) for place, each in failures.items()
    }


def test_what_acted_on_a_request_alone_goes_with_it(open_session):
    session = open_session(["a", "b"], chain=[[Add(amount=1.0), Add(amount=2.0)]])
    first = next(iter(session.course.requests))
    session.course.end(first, "cancelled")

    (station,) = session.course.chain.processors
    assert [row.prompt for row in session.rows.records][1:] == list(station.acting)
