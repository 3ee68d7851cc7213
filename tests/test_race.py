"""The race: exact numbers, the right distribution, and a winner that little can change."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk.race import NO_TOKEN, best, exponentials, halves, keys, race
from gpt2sdk.rng import key, purpose_key, uniform

SEEDS = st.integers(-(2**70), 2**70)
COUNTS = st.integers(0, 2**40)
PURPOSE = purpose_key("multinomial")
CPU = torch.device("cpu")
M32 = 2**32 - 1


def words(count, seed=0):
    """Return keys of a row's draws, one after another."""
    draws = torch.arange(count)
    return keys(torch.full_like(draws, seed), torch.zeros_like(draws), draws, PURPOSE)


def logits_of(count, width, spread=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(count, width, generator=generator)


def mixed(word, lower=0, upper=0):
    """The published mixer, on unsigned numbers, with a key going in."""
    word ^= lower
    word ^= word >> 16
    word = word * 0x7FEB352D & M32
    word ^= word >> 15
    word = (word + upper) * 0x846CA68B & M32
    return word ^ word >> 16


def number(word, token):
    """The exponential number of a token, from its definition."""
    mark = mixed((token * 0x9E3779B9 + 0x85EBCA6B) & M32)
    bits = mixed(mark, word & M32, word >> 32) & 0x7FFFFFFF
    return -math.log1p(-min((bits + 0.5) / 2**31, 1 - 2**-24))


def z_score(counts, probabilities):
    """How many standard deviations chi-squared is from its mean."""
    expected = counts.sum() * probabilities
    chi_squared = ((counts - expected) ** 2 / expected).sum().item()
    freedom = len(probabilities) - 1
    return (chi_squared - freedom) / math.sqrt(2 * freedom)


@given(st.lists(st.tuples(SEEDS, COUNTS, COUNTS), min_size=1, max_size=5), SEEDS)
def test_keys_made_on_a_device_are_those_made_on_the_host(rows, purpose):
    purpose %= 2**64
    made = [key(*row, purpose) for row in rows]
    signed = [(seed + 2**63) % 2**64 - 2**63 for seed, _, _ in rows]
    columns = [signed, [lane for _, lane, _ in rows], [draw for _, _, draw in rows]]
    on_device = keys(*(torch.tensor(column) for column in columns), purpose)

    assert halves(made, CPU).tolist() == on_device.tolist()
    assert made == [(upper & M32) << 32 | lower & M32 for lower, upper in on_device.tolist()]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 60000), min_size=1, max_size=5))
def test_the_number_of_a_token_is_the_one_defined(word, tokens):
    found = exponentials(halves([word], CPU), torch.tensor([tokens]))[0].tolist()

    assert pytest.approx([number(word, token) for token in tokens], rel=1e-6) == found


@pytest.mark.parametrize("width", [1, 63, 64, 65, 5000, 8192, 8200, 50257])
@pytest.mark.parametrize("kept", [1, 40, 4096, 50257])
def test_the_winner_has_the_best_number_whatever_is_out(width, kept):
    logits = logits_of(3, width)
    least = logits.topk(min(kept, width)).values[:, -1:]
    logits = logits.masked_fill(logits < least, -math.inf)
    numbers = exponentials(words(3), torch.arange(width)[None])
    scores = (logits - logits.amax(-1, keepdim=True)) - numbers.log()

    assert scores.argmax(-1).tolist() == race(logits, words(3)).tolist()


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.integers(1, 300), st.integers(0, 2**32))
def test_a_race_among_those_kept_is_the_race_of_all_bit_for_bit(word, count, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(50_257, generator=generator)[:count].sort().values
    logits = torch.randn(1, count, generator=generator)
    wide = torch.full((1, 50_257), -math.inf).index_copy(1, ids, logits)
    made = halves([word], CPU)
    scores = logits - logits.amax() - exponentials(made, ids[None]).log()

    assert [ids[scores[0].argmax()].item()] == race(wide, made).tolist()


def test_the_number_of_a_token_is_the_same_in_any_vocabulary():
    logits = logits_of(200, 70)
    wide = torch.full((200, 30_000), -math.inf)
    wide[:, :70] = logits

    assert race(logits, words(200)).tolist() == race(wide, words(200)).tolist()


def test_ruling_out_a_token_that_was_not_drawn_changes_nothing():
    logits = logits_of(500, 300)
    drawn = race(logits, words(500))
    generator = torch.Generator().manual_seed(1)
    out = torch.rand(logits.shape, generator=generator) < 0.5
    out[torch.arange(500), drawn] = False

    assert drawn.tolist() == race(logits.masked_fill(out, -math.inf), words(500)).tolist()


def test_a_row_draws_alone_what_it_draws_among_others():
    logits = logits_of(37, 4096)
    together = race(logits, words(37)).tolist()
    alone = [race(logits[[row]], words(37)[[row]]).item() for row in range(37)]

    assert alone == together


def test_tokens_are_drawn_as_often_as_they_are_probable():
    logits = logits_of(1, 50, spread=1.5)
    rows_of_one_draw = keys(*torch.tensor([range(20_000), [0] * 20_000, [3] * 20_000]), PURPOSE)
    for made in (words(20_000), rows_of_one_draw):
        counts = torch.bincount(race(logits.expand(20_000, -1), made), minlength=50)

        assert abs(z_score(counts, logits[0].softmax(-1))) < 3


def test_draws_of_a_row_do_not_depend_on_the_one_before():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    drawn = race(logits.expand(40_000, -1), words(40_000))
    pairs = torch.bincount(4 * drawn[:-1] + drawn[1:], minlength=16)
    p = logits.exp()

    assert abs(z_score(pairs, (p[:, None] * p).flatten())) < 3


def test_numbers_of_tokens_and_of_draws_are_not_correlated():
    numbers = exponentials(words(2000, seed=7), torch.arange(512)[None]).double()
    among_tokens = torch.corrcoef(numbers.T).fill_diagonal_(0)
    among_draws = torch.corrcoef(numbers).fill_diagonal_(0)

    # Of so many pairs the largest is 4.7 and 5.4 deviations off, where all are independent.
    assert among_tokens.abs().max() < 6 / math.sqrt(2000)
    assert among_draws.abs().max() < 6.5 / math.sqrt(512)
    assert abs(among_tokens.pow(2).mean().sqrt() * math.sqrt(2000) - 1) < 0.02
    assert abs(among_draws.pow(2).mean().sqrt() * math.sqrt(512) - 1) < 0.02


def test_numbers_are_not_correlated_with_the_uniform_one_of_the_same_purpose():
    numbers = exponentials(words(20_000), torch.arange(8)[None]).double()
    uniforms = torch.tensor([uniform(0, 0, draw, PURPOSE) for draw in range(20_000)])
    with_it = torch.cat([numbers, uniforms[:, None].double()], 1)

    assert torch.corrcoef(with_it.T)[-1, :-1].abs().max() < 4 / math.sqrt(20_000)


def test_numbers_are_exponential_into_their_tails():
    numbers = exponentials(words(2000, seed=3), torch.arange(1000)[None]).double().flatten()
    bins = (-torch.expm1(-numbers) * 1000).long().clamp(max=999)

    assert abs(z_score(torch.bincount(bins, minlength=1000), torch.full((1000,), 1e-3))) < 3
    assert numbers.min() > 0
    # Of 2,000,000 numbers 20 are expected below 1e-5, and as many above -log(1e-5).
    assert 8 <= (numbers < 1e-5).sum() <= 36
    assert 8 <= (numbers > -math.log(1e-5)).sum() <= 36


def test_a_tail_of_rare_tokens_is_drawn_as_often_as_it_is_probable():
    """Ten thousand tokens of 2e-7 each, 0.002 in all: 20 are expected of 10,000 draws."""
    logits = torch.full((1, 10_000), 2e-7).log()
    logits[0, 123] = math.log(1 - 2e-3)
    drawn = [race(logits.expand(500, -1), made) for made in words(10_000).split(500)]

    assert 8 <= (torch.cat(drawn) != 123).sum() <= 36


def test_noise_changes_a_draw_about_as_often_as_it_is_large():
    """Half the mean difference of two tokens' noise: its size over the square root of pi."""
    logits = logits_of(4000, 4096)
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5))
    drawn = race(logits, words(4000))
    flips = [
        (race(logits + size * noise, words(4000)) != drawn).sum().item() / 4000
        for size in (1e-3, 1e-2)
    ]

    assert flips[0] < 2e-3
    assert flips[1] < 1e-2


@pytest.mark.parametrize("shift", [-1024.0, 0.25, 64.0])
def test_a_constant_added_to_all_logits_changes_nothing(shift):
    # Multiples of 1/256, which the shifts leave exact.
    logits = (logits_of(500, 100) * 256).round() / 256

    assert race(logits, words(500)).tolist() == race(logits + shift, words(500)).tolist()


def test_of_equal_scores_the_lowest_id_wins():
    numbers = exponentials(words(1), torch.arange(5000)[None])[0]
    logits = numbers.log()[None]
    scores = (logits - logits.amax()) - numbers.log()
    best = (scores[0] == scores.amax()).nonzero().flatten().tolist()

    assert len(best) > 100
    assert best[:1] == race(logits, words(1)).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_float_are_raced_in_float32(dtype):
    logits = logits_of(50, 200).to(dtype)

    assert race(logits.float(), words(50)).tolist() == race(logits, words(50)).tolist()


@pytest.mark.parametrize("width", [10, 5000, 50_257, 32_768])
@pytest.mark.parametrize(
    ("fill", "value"),
    [(-math.inf, -math.inf), (0.0, math.nan), (-math.inf, math.nan), (0.0, math.inf)],
)
def test_a_row_without_a_token_to_draw_gets_none(width, fill, value):
    logits = torch.zeros(3, width)
    logits[1] = fill
    logits[1, -1] = value
    found = [token == NO_TOKEN for token in race(logits, words(3)).tolist()]

    assert [False, True, False] == found


def test_there_may_be_no_rows():
    assert [] == race(torch.zeros(0, 10), words(0)).tolist()
    assert (0, 2) == exponentials(words(0), torch.tensor([[1, 2]])).shape


def test_logits_that_need_gradients_can_be_raced():
    logits = logits_of(2, 10).requires_grad_()

    assert race(logits.detach(), words(2)).tolist() == race(logits, words(2)).tolist()


@pytest.mark.parametrize("spread", [0.01, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("left", [3000, 50257])
def test_only_tokens_that_may_win_run_and_the_winner_is_among_them(spread, left):
    logits = spread * logits_of(40, 50257)
    least = logits.topk(left).values[:, -1:]
    logits = logits.masked_fill(logits < least, -math.inf)
    numbers = exponentials(words(40), torch.arange(50257)[None])
    leads = logits - logits.amax(-1, keepdim=True) - numbers.log()
    assert leads.argmax(-1).tolist() == race(logits, words(40)).tolist()


def test_the_best_token_is_the_first_of_the_largest():
    logits = torch.tensor([[0.0, 2.0, 2.0], [1.0, -math.inf, 0.5]])
    assert [1, 0] == best(logits).tolist() == best(logits.bfloat16()).tolist()
