"""What is marked is found, whoever stands beside it, drafts it or takes it back."""

import pytest
import torch

from gpt2sdk import Generator, OptionError, Strategy
from gpt2sdk.testing import choose, make_rows, process
from gpt2sdk_watermark.gumbel_watermark import GumbelWatermark
from gpt2sdk_watermark.keyed_hash import extended, extended_by_all, keyed, signed
from gpt2sdk_watermark.kgw_watermark import KgwWatermark
from gpt2sdk_watermark.synthid_watermark import SynthidWatermark, tournament
from gpt2sdk_watermark.unigram_watermark import UnigramWatermark

PROMPTS = ["Once upon a time", "The wolf said", "There was a king who", "One day"]
MARKS = [
    {"kgw_bias": 3.0, "hashing_key": 9},
    {"kgw_bias": 3.0, "hashing_key": 9, "seeding_scheme": "selfhash", "context_width": 3},
    {"unigram_bias": 3.0, "hashing_key": 9},
    {"sampler": "synthid_watermark", "hashing_key": 9},
    {"sampler": "gumbel_watermark", "hashing_key": 9},
    {"sampler": "gumbel_watermark", "hashing_key": 9, "second_key": 10},
]
LONG = {"max_new_tokens": 90, "eos_token_id": None, "seed": 3}


def detector_of(options):
    """Return the detector of what a call's options wrote."""
    name = options.get("sampler") or next(iter(options)).replace("_bias", "_watermark")
    return name, {
        key: value for key, value in options.items() if key != "sampler" and "bias" not in key
    }


@pytest.fixture(scope="module")
def storyteller():
    return Generator.from_pretrained("storyteller")


@pytest.mark.slow
@pytest.mark.parametrize("options", MARKS)
def test_marked_texts_are_found_and_others_are_not(storyteller, options):
    name, settings = detector_of(options)
    result = storyteller.generate(PROMPTS, **options, **LONG)
    plain = storyteller.generate(PROMPTS, **LONG)
    tokens = [each.tokens for each in result.completions]

    assert max(found.p_value for found in storyteller.detect(tokens, name, **settings)) < 1e-3
    assert max(found.p_value for found in storyteller.detect(result.texts, name, **settings)) < 1e-3
    assert min(found.p_value for found in storyteller.detect(plain.texts, name, **settings)) > 1e-3
    wrong = {
        **settings,
        "hashing_key": 1,
        **({"second_key": 2} if "second_key" in settings else {}),
    }
    assert min(found.p_value for found in storyteller.detect(tokens, name, **wrong)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("options", MARKS)
@pytest.mark.parametrize("drafter", ["prompt_lookup", "suffix"])
def test_drafts_and_neighbours_change_no_marked_text(storyteller, options, drafter):
    short = {**LONG, "max_new_tokens": 40}
    alone = [storyteller.generate(prompt, **options, **short).text for prompt in PROMPTS[:1]]
    together = storyteller.generate(PROMPTS, **options, **short)
    drafted = storyteller.generate(PROMPTS, drafter=drafter, **options, **short)

    assert alone == together.texts[:1]
    assert together.texts == drafted.texts
    assert drafted.usage.drafted > 0


@pytest.mark.slow
def test_each_prompt_may_have_a_key_of_its_own(storyteller):
    result = storyteller.generate(PROMPTS[:2], kgw_bias=[3.0, None], hashing_key=[5, None], **LONG)
    first, second = storyteller.detect(result.texts, "kgw_watermark", hashing_key=5)

    assert first.p_value < 1e-4
    assert second.p_value > 1e-3


@pytest.mark.slow
def test_beams_prefer_green_hypotheses(storyteller):
    result = storyteller.generate(
        PROMPTS[:2],
        strategy="beam",
        num_beams=3,
        kgw_bias=3.0,
        hashing_key=9,
        no_repeat_ngram_size=2,
        **LONG,
    )
    found = storyteller.detect(result.texts, "kgw_watermark", hashing_key=9)

    assert max(each.p_value for each in found) < 1e-3


@pytest.mark.parametrize("sampler", ["synthid_watermark", "gumbel_watermark"])
@pytest.mark.parametrize("strategy", ["beam", "greedy"])
def test_strategies_without_a_draw_refuse_marks_that_replace_it(storyteller, sampler, strategy):
    with pytest.raises(OptionError, match=f"sampler has no effect with the strategy {strategy}"):
        storyteller.generate("Once", strategy=strategy, sampler=sampler)


@pytest.mark.slow
def test_samples_of_one_prompt_differ(storyteller):
    result = storyteller.generate(
        "Once upon a time there", sampler="gumbel_watermark", num_return_sequences=6, **LONG
    )

    assert len(set(result.texts)) == 6


def standing_again(draws, taken_back):
    """Rows that were here, after so many draws, and took this back."""
    rows = make_rows([[0, 2, 8, 8]], seed=1)
    rows.records[0].tokens[2:] = taken_back
    rows.records[0].draws = draws
    rows.records[0].take_back(len(taken_back))
    return rows.bound("gumbel_watermark")


def test_what_was_taken_back_is_drawn_ordinarily():
    mark, logits = GumbelWatermark(context_width=1, hashing_key=7), torch.zeros(1, 50)
    picked = {mark.choose(logits, standing_again(draws, [9])).item() for draws in range(2, 12)}

    assert len(picked) > 3
    assert 1 == len({mark.choose(logits, make_rows([[0, 2]], seed=s)).item() for s in range(9)})


def test_a_row_that_begins_anew_is_marked_where_it_does_not_repeat_itself():
    """It once wrote 5 6 7 8 9, began anew, and wrote 6 or 9: only behind 6 it drew before."""
    mark, logits = GumbelWatermark(context_width=1, hashing_key=7), torch.zeros(1, 50)

    def anew(token, seed):
        rows = make_rows([[0, 5, 6, 7, 8, 9]], seed=seed)
        rows.records[0].take_back(5)
        rows.records[0].tokens.append(token)
        return rows.bound(mark.name)

    assert len({mark.choose(logits, anew(6, seed)).item() for seed in range(9)}) > 3
    marked = {mark.choose(logits, anew(9, seed)).item() for seed in range(9)}
    assert {mark.choose(logits, make_rows([[0, 9]])).item()} == marked


def test_forked_rows_remember_what_was_taken_back():
    rows = make_rows([[0, 5, 6, 7]])
    rows.records[0].take_back(2)
    store = rows._store  # noqa: SLF001 - forks are the session's
    store.fork([0, 0])
    store.rewind([0, 1])

    assert [row.taken_back for row in store.rows] == [((5, 6, 7),), ((5, 6, 7), (5,))]


def test_a_context_that_returns_is_drawn_ordinarily():
    mark, logits = GumbelWatermark(context_width=2, hashing_key=7), torch.zeros(1, 50)
    fresh = {choose(mark, logits, make_rows([[0, 5, 6]], seed=s)).item() for s in range(9)}
    again = {choose(mark, logits, make_rows([[0, 5, 6, 5, 6]], seed=s)).item() for s in range(9)}

    assert len(fresh) == 1
    assert len(again) > 3


def test_the_prompt_is_no_context_of_what_replaces_chance():
    mark, logits = GumbelWatermark(context_width=2, hashing_key=7), torch.zeros(1, 50)
    rows = [make_rows([[5, 6, 7]], prompt_lengths=[2], seed=seed) for seed in range(9)]

    assert len({choose(mark, logits, each).item() for each in rows}) > 3


def test_the_gate_leaves_sure_tokens_alone():
    logits = torch.tensor([[5.0] + [0.0] * 49])
    rows = [make_rows([[0, 2]], seed=seed) for seed in range(60)]
    for kind in (GumbelWatermark, SynthidWatermark):
        gated = kind(context_width=1, hashing_key=3, max_probability=0.5)
        drawn = {choose(gated, logits, each).item() for each in rows}
        ordinary = {each.bound(gated.name).race(logits).item() for each in rows}
        assert ordinary == drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hashing_key": 3, "second_key": 3}, "second_key is 3, as hashing_key is"),
        ({"mixing_probability": 0.3}, "mixing_probability has no effect without second_key"),
    ],
)
def test_keys_that_would_count_twice_or_not_at_all_are_refused(options, said):
    with pytest.raises(OptionError, match=said):
        GumbelWatermark(**options)


def test_two_keys_take_turns():
    logits = torch.zeros(1, 1000)
    mark = GumbelWatermark(context_width=1, hashing_key=3, second_key=4, mixing_probability=0.3)
    rows = [make_rows([[0, 2]], seed=seed) for seed in range(300)]
    picked = [choose(mark, logits, each).item() for each in rows]
    first = choose(GumbelWatermark(context_width=1, hashing_key=3), logits, rows[0]).item()
    second = choose(GumbelWatermark(context_width=1, hashing_key=4), logits, rows[0]).item()

    assert {first, second} == set(picked)
    assert 60 <= picked.count(second) <= 120


@pytest.mark.parametrize("kind", [GumbelWatermark, SynthidWatermark])
def test_over_keys_a_token_keeps_its_probability(kind):
    probs = torch.tensor([[0.5, 0.3, 0.2]])
    picked = [
        choose(kind(context_width=1, hashing_key=key), probs.log(), make_rows([[0, 2]], seed=key))
        for key in range(1500)
    ]
    shares = torch.cat(picked).bincount(minlength=3) / len(picked)

    assert torch.allclose(shares, probs[0], atol=0.04)


@pytest.mark.parametrize(
    "mark",
    [
        KgwWatermark(kgw_bias=1.0, hashing_key=3, context_width=2),
        KgwWatermark(kgw_bias=1.0, hashing_key=3, context_width=3, seeding_scheme="selfhash"),
        UnigramWatermark(unigram_bias=1.0, hashing_key=3),
    ],
)
def test_what_is_made_likelier_is_what_is_counted(mark):
    vocab = 200
    biased = process(mark, torch.zeros(1, vocab), make_rows([[8, 9, 4]]))[0].tolist()
    counted = [mark.detect([8, 9, 4, token], start=3).statistic for token in range(vocab)]

    assert counted == biased
    assert 25 < sum(biased) < 80


def test_rows_without_a_whole_context_are_left_alone():
    mark = KgwWatermark(kgw_bias=2.0, context_width=3)

    assert not process(mark, torch.zeros(1, 20), make_rows([[1, 2]])).any()
    assert process(mark, torch.zeros(1, 20), make_rows([[1, 2, 3]])).any()


@pytest.mark.parametrize(
    "kind", [KgwWatermark, UnigramWatermark, SynthidWatermark, GumbelWatermark]
)
def test_keys_are_whole_numbers_of_64_bits(kind):
    with pytest.raises(OptionError, match="hashing_key"):
        kind(hashing_key=1 << 64)
    assert kind(hashing_key=(1 << 64) - 1).detect([1, 2, 3, 4, 5, 6]).count > 0


def test_the_hash_is_what_it_was():
    assert 0x1AF0C6BB47A0CCBF == keyed(15485863, 1, [464, 5822])
    assert 0x910A2DEC89025CC1 == _splitmix(1)
    words = torch.tensor([[signed(keyed(2**64 - 1, 4, [50256]))]])
    found = extended_by_all(words, 50257)[0, [0, 1, 50256]].tolist()
    assert [signed(extended(keyed(2**64 - 1, 4, [50256]), t)) for t in (0, 1, 50256)] == found


def _splitmix(seed):
    """The first number of SplitMix64 with this seed, by its published code."""
    return extended(seed, 0)


def test_a_tournament_is_transformers():
    from transformers import SynthIDTextWatermarkLogitsProcessor

    theirs = SynthIDTextWatermarkLogitsProcessor(
        ngram_len=5,
        keys=list(range(1, 31)),
        sampling_table_size=64,
        sampling_table_seed=0,
        context_history_size=8,
        device=torch.device("cpu"),
    )
    draw = torch.Generator().manual_seed(2)
    scores = torch.randn(3, 40, generator=draw)
    words = torch.randint(0, 1 << 62, (3, 40), generator=draw)
    bits = torch.stack([(words >> layer) & 1 for layer in range(30)], -1)
    expected = theirs.update_scores(scores, bits).softmax(-1)

    assert torch.allclose(expected, tournament(scores.softmax(-1), words, 30), atol=1e-6)


@pytest.mark.slow
def test_transformers_mark_is_found_by_its_detector(storyteller):
    from transformers import WatermarkLogitsProcessor

    theirs = WatermarkLogitsProcessor(storyteller.model.vocab_size, "cpu", bias=3.0)
    result = storyteller.generate(
        PROMPTS[:2], processors=[theirs], **{**LONG, "max_new_tokens": 50}
    )
    greens = 0
    for completion in result.completions:
        for before, token in zip(completion.tokens, completion.tokens[1:], strict=False):
            greens += token in theirs._get_greenlist_ids(torch.tensor([before])).tolist()  # noqa: SLF001

    assert greens > 0.5 * 98


ANEW = {
    "backtrack": {"banned_phrases": ["the", "was"]},
    "deepconf": {"budget": 8, "num_warmup": 4, "num_return_sequences": 4},
    "self_consistency": {"stop_rule": "supermajority", "budget": 6, "num_return_sequences": 4},
    "sample": {},
    "best_of_n": {"best_of": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["synthid_watermark", "gumbel_watermark"])
@pytest.mark.parametrize("strategy", ANEW)
def test_strategies_that_draw_with_a_sampler_mark_all_they_hand_out(storyteller, strategy, sampler):
    options = {**LONG, **ANEW[strategy], "max_new_tokens": 60, "sampler": sampler, "hashing_key": 9}
    result = storyteller.generate(PROMPTS[0], strategy=strategy, **options)
    tokens = [each.tokens for each in result.completions]

    assert max(each.p_value for each in storyteller.detect(tokens, sampler, hashing_key=9)) < 1e-3


def test_all_other_strategies_refuse_marks_that_replace_the_draw(storyteller):
    offers = storyteller.registry.offers(Strategy)
    others = {each.name for each in offers if each.name not in ANEW}
    assert others == {
        each.name for each in offers if not (each.component.draws and each.component.chooses)
    }

    for name in others:
        with pytest.raises(OptionError, match="sampler has no effect"):
            storyteller.generate("Once", strategy=name, sampler="gumbel_watermark")
