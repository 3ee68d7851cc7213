"""XTC: likely tokens go, now and then, and never with a special one among them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError, TokenizerError
from gpt2sdk.testing import make_rows, process, reweigh, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.xtc_probability import XtcProbability

STEPS = [0.4, 0.3, 0.2, 0.1]


def always(threshold, special=None):
    return XtcProbability(xtc_probability=1.0, xtc_threshold=threshold, xtc_special_tokens=special)


@pytest.mark.parametrize(
    ("threshold", "given", "expected"),
    [
        (0.05, STEPS, [0.0, 0.0, 0.0, 1.0]),
        (0.15, STEPS, [0.0, 0.0, 0.6667, 0.3333]),
        (0.25, STEPS, [0.0, 0.5, 0.3333, 0.1667]),
        (0.35, STEPS, STEPS),
        (0.5, STEPS, STEPS),
        # Tokens that tie with the least likely one stay.
        (0.2, [0.4, 0.25, 0.25, 0.1], [0.0, 0.4167, 0.4167, 0.1667]),
        (0.2, [0.25] * 4, [0.25] * 4),
    ],
)
def test_distributions_checked_by_hand(threshold, given, expected):
    assert expected == reweigh(always(threshold), given)


def published(probs, threshold):
    """The author's rule on sorted tokens: one goes if the next is likely too."""
    order = sorted(range(len(probs)), key=lambda place: -probs[place])
    return {token for token, following in pairwise(order) if probs[following] >= threshold}


@given(counts=st.lists(st.integers(1, 200), min_size=2, max_size=12, unique=True), data=st.data())
def test_it_is_the_authors_rule(counts, data):
    probs = torch.tensor(counts, dtype=torch.float32).log().softmax(-1)
    threshold = data.draw(st.floats(0.0, 0.5))
    if (probs - threshold).abs().min() < 1e-6:
        return  # which side of the threshold it falls on is a matter of rounding

    found = process(always(threshold, ()), probs.log()[None])

    assert published(probs.tolist(), threshold) == set(found[0].isneginf().nonzero()[:, 0].tolist())


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_rows_decide_for_themselves_with_this_probability(probability):
    count = 4_000
    logits = torch.tensor([STEPS]).log().expand(count, -1)
    xtc = XtcProbability(xtc_probability=probability, xtc_threshold=0.15)

    gone = process(xtc, logits, make_rows([[0]] * count, seed=11))[:, 0].isneginf()

    spread = (count * probability * (1 - probability)) ** 0.5
    assert abs(int(gone.sum()) - count * probability) < 4 * spread


def test_nothing_goes_where_an_end_token_would():
    logits = torch.tensor([STEPS] * 3).log()
    prompts = make_rows([[0]], eos_token_ids=[1]), make_rows([[0]], eos_token_ids=[2, 99])

    found = [process(always(0.15), logits[:1], rows) for rows in prompts]

    assert [False, False, False, False] == found[0][0].isneginf().tolist()
    assert [True, True, False, False] == found[1][0].isneginf().tolist()


def test_special_tokens_may_be_named():
    logits = torch.tensor([[0.4, 0.3, 0.2] + [0.1 / 25] * 25]).log()  # a, b and c are likely
    ending = make_rows([[0]], eos_token_ids=[0])

    assert process(always(0.15, ["b"]), logits, ending).isfinite().all()
    assert process(always(0.15, [[1]]), logits, ending).isfinite().all()
    assert [0, 1] == process(always(0.15, ["c"]), logits, ending)[0].isneginf().nonzero()[
        :, 0
    ].tolist()
    assert not process(always(0.15, ()), logits, ending).isfinite().all()


def test_the_newline_is_special_where_the_tokenizer_has_one():
    tokenizer = tiny_tokenizer()
    session = open_session([row.prompt for row in make_rows([[0]]).records], vocab_size=278)
    session.vocabulary = tokenizer

    assert tokenizer.encode("\n") == always(0.1).start(session).special.tolist()
    assert [] == always(0.1, ()).start(session).special.tolist()


def test_a_tokenizer_without_a_newline_will_do():
    session = open_session([row.prompt for row in make_rows([[0]]).records], vocab_size=28)

    with pytest.raises(TokenizerError):
        session.vocabulary.encode("\n")
    assert [] == always(0.1).start(session).special.tolist()


@pytest.mark.parametrize(
    ("special", "message"),
    [(["ab"], "'ab', which is 2 tokens: expected single ones"), ([[99]], "names token 99")],
)
def test_what_is_no_single_token_is_refused(special, message):
    with pytest.raises(OptionError, match=message):
        process(always(0.1, special), torch.zeros(1, 28))


def test_a_threshold_at_which_nothing_could_go_is_refused():
    with pytest.raises(OptionError, match="xtc_threshold"):
        XtcProbability(xtc_probability=0.5, xtc_threshold=0.51)
