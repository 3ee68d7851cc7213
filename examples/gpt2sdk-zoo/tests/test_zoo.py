"""Numbers checked by hand, and what the originals get wrong: beams, batches, draws, rows ruled out."""

import pytest
import torch
from gpt2sdk import Generator, OptionError, each
from gpt2sdk.testing import Letters, TableModel, make_rows, process, save_tiny_model

import gpt2sdk_zoo
from gpt2sdk_zoo.cite_from_prompt import CiteFromPrompt
from gpt2sdk_zoo.force_last_phrase import ForceLastPhrase
from gpt2sdk_zoo.gen_length_boost import GenLengthBoost
from gpt2sdk_zoo.multiple_choice import MultipleChoice
from gpt2sdk_zoo.prevent_hallucination import PreventHallucination
from gpt2sdk_zoo.trigger_phrase import TriggerPhrase

OUT = -torch.inf
END = 28
ODD = {"strategy": "sample", "temperature": 2.0, "max_new_tokens": 40}
WAYS = [
    {"strategy": "greedy", "max_new_tokens": 60},
    {**ODD, "seed": 5},
    {"strategy": "beam", "num_beams": 3, "max_new_tokens": 30},
    {**ODD, "seed": 5, "drafter": "prompt_lookup"},
]


@pytest.fixture
def gen():
    """Return a generator of letters, of which the 29th ends rows."""
    letters = Letters()
    model = TableModel(vocab_size=29)
    return Generator(model, letters, decoder=letters, eos_token_ids=[END])


def ways():
    """Run a test with every kind of strategy."""
    return pytest.mark.parametrize("way", WAYS, ids=["greedy", "drawn", "beam", "drafted"])


def spelled(*texts):
    """Return rows whose first letter is the prompt."""
    return make_rows([Letters().encode(text) for text in texts], eos_token_ids=[END])


# gen_length_boost


@pytest.mark.parametrize(
    ("grown", "power", "added"), [(0, 2.0, 0.0), (5, 2.0, 0.5), (20, 1.0, 4.0), (0, 0.0, 2.0)]
)
def test_length_is_boosted_by_its_power(grown, power, added):
    rows = make_rows([[0] * (grown + 1)], eos_token_ids=[1, 2])
    boost = GenLengthBoost(gen_length_boost=2.0, gen_length_power=power)

    assert [[0.0, added, added]] == process(boost, [[0.0] * 3], rows).tolist()


def test_length_is_boosted_where_a_sentence_ends():
    rows = spelled("xa.", "xa. ", "xa.a", "x.", "x")
    boost = GenLengthBoost(gen_length_boost=1.0, gen_length_power=0.0, gen_length_sentences=True)

    assert [1.0, 1.0, 0.0, 1.0, 0.0] == process(boost, torch.zeros(5, 29), rows)[:, END].tolist()


def test_a_token_is_boosted_until_it_was_said():
    rows = spelled("cab", "bc", "bca")
    boost = GenLengthBoost(gen_length_boost=1.0, gen_length_power=0.0, gen_length_token="c")

    processed = process(boost, torch.zeros(3, 29), rows)

    assert [1.0, 0.0, 0.0] == processed[:, 2].tolist()
    assert not processed[:, END].any()


def test_an_end_that_is_out_stays_out():
    rows = make_rows([[0, 0]], eos_token_ids=[1])

    assert [[0.0, OUT]] == process(
        GenLengthBoost(gen_length_boost=1e6), [[0.0, OUT]], rows
    ).tolist()


def test_beams_have_a_length(gen):
    beam = {"strategy": "beam", "num_beams": 3, "max_new_tokens": 40}
    longer = GenLengthBoost(gen_length_boost=-50.0)

    assert 40 > gen.generate("once", **beam).usage.new_tokens
    assert 40 == gen.generate("once", processors=[longer], **beam).usage.new_tokens


# cite_from_prompt


def test_each_token_of_the_prompt_is_cited_once():
    rows = make_rows([[0, 0, 0, 2], [1]], prompt_lengths=[4, 1], eos_token_ids=[3])
    cite = CiteFromPrompt(cite_from_prompt=1.0, cite_from_prompt_ends=False)

    assert [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]] == process(
        cite, torch.zeros(2, 4), rows
    ).tolist()


def test_what_goes_on_as_the_prompt_does_is_cited_behind_new_text_only():
    rows = make_rows([[0, 1, 0, 2], [0, 1, 0, 2, 0], [0, 1, 0, 2, 3]], prompt_lengths=[4, 4, 4])
    cite = CiteFromPrompt(cite_from_prompt_next=2.0)

    assert [[0.0] * 4, [0.0, 2.0, 2.0, 0.0], [0.0] * 4] == process(
        cite, torch.zeros(3, 4), rows
    ).tolist()


def test_a_citation_is_of_ones_own_prompt(gen):
    cite = CiteFromPrompt(cite_from_prompt=50.0, cite_from_prompt_ends=False)

    for way in ({"strategy": "greedy"}, {"strategy": "beam", "num_beams": 2}):
        texts = gen.generate(["ab", "stuvwxyz"], processors=[cite], max_new_tokens=9, **way).texts
        first, second = texts
        assert set(first) <= set("ab")
        assert set(second) <= set("stuvwxyz")


# force_last_phrase


@ways()
def test_no_row_ends_before_it_has_said_its_last_phrase_once(gen, way):
    prompts = ["once", "a", "the end of it", "aaaa"]
    chain = [GenLengthBoost(gen_length_boost=3.0), ForceLastPhrase(force_last_phrase="amen.")]
    result = gen.generate(prompts, **way, processors=chain)
    ended = [made.text for made in result.completions if made.finish_reason == "end_token"]

    assert ended
    assert {1} == {text.count("amen.") for text in ended}


def test_an_end_that_would_be_drawn_begins_the_phrase():
    rows = make_rows([[1]], eos_token_ids=[2])
    last = ForceLastPhrase(force_last_phrase=[0, 1])

    # The end is not the likeliest, but the draw may hit it.
    assert [[1.5, 2.0, OUT]] == process(last, [[-3.0, 2.0, 1.5]], rows).tolist()


def test_a_phrase_ruled_out_leaves_the_row_alone():
    rows = make_rows([[1]], eos_token_ids=[2])
    last = ForceLastPhrase(force_last_phrase=[0, 1])

    assert [[OUT, 2.0, 1.5]] == process(last, [[OUT, 2.0, 1.5]], rows).tolist()


def test_the_rest_of_a_phrase_is_fed_in_one_pass(gen):
    boost = GenLengthBoost(gen_length_boost=3.0)
    last = ForceLastPhrase(force_last_phrase="and so it was.")
    options = {"strategy": "greedy", "max_new_tokens": 60}
    plain = gen.generate("once", processors=[boost], **options)
    last = gen.generate("once", processors=[boost, last], **options)

    assert plain.text + "and so it was." == last.text
    assert plain.usage.model_calls + 1 == last.usage.model_calls


def test_without_end_tokens_a_last_phrase_is_refused():
    letters = Letters()
    endless = Generator(TableModel(28), letters, decoder=letters)

    for processor in (
        ForceLastPhrase(force_last_phrase="ab"),
        GenLengthBoost(gen_length_boost=1.0),
    ):
        with pytest.raises(OptionError, match="there are none: expected eos_token_id"):
            endless.generate("a", processors=[processor])


# multiple_choice


def test_a_row_begins_with_a_label_and_goes_on_freely(gen):
    prompts = ["once", "a", "the end"]
    choice = MultipleChoice(multiple_choice=["x", "y"])
    result = gen.generate(prompts, processors=[choice], max_new_tokens=12, seed=3)

    assert {True} == {text[0] in "xy" for text in result.texts}
    assert not all(set(text) <= set("xy") for text in result.texts)


def one_label(boost):
    """Return the label a, and a prompt whose line says that it stands for n."""
    rows = make_rows([Letters().encode("a. n")], prompt_lengths=[4])
    return MultipleChoice(multiple_choice=["a"], multiple_choice_boost=boost), rows


@pytest.mark.parametrize("added", [0.0, 100.0, -100.0])
def test_an_answers_first_word_counts_whatever_is_added_to_all_logits(added):
    choice, rows = one_label(2.0)
    logits = torch.full((1, 29), OUT)
    logits[0, 0] = logits[0, 13] = added  # p(a) = p(n) = 0.5

    processed = process(choice, logits, rows)[0, 0].item()

    assert pytest.approx(added - 2 * 0.6931, abs=1e-3) == processed


def test_a_label_whose_word_is_out_is_unlikely_and_not_out():
    choice, rows = one_label(0.5)
    logits = torch.zeros(1, 29).index_fill(1, torch.tensor([13]), OUT)

    assert -50.0 == process(choice, logits, rows)[0, 0].item()


def test_the_last_question_of_a_prompt_is_the_one_that_is_asked():
    letters = Letters("abcdefghijklmnopqrstuvwxyz .\n")
    gen = Generator(TableModel(29, bias={5: 9.0, 6: -9.0}), letters, decoder=letters)
    choice = MultipleChoice(multiple_choice=["a", "b"], multiple_choice_boost=9.0)
    options = {"strategy": "greedy", "max_new_tokens": 1, "processors": [choice]}

    for likely, unlikely in ("fg", "gf"):
        asked = f"x\na. {unlikely}\nb. {likely}\nx\na. {likely}\nb. {unlikely}\nx"
        expected = "a" if likely == "f" else "b"
        assert [expected] == gen.generate(asked, **options).texts


def test_labels_that_are_all_out_leave_the_row_alone():
    choice = MultipleChoice(multiple_choice=["a", "c"], multiple_choice_boost=1.0)

    assert [[OUT, 2.0, OUT]] == process(choice, [[OUT, 2.0, OUT]]).tolist()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(["a", "bc"], "the label 'bc' of several"), (["a", "a"], "a label twice")],
)
def test_labels_that_cannot_be_are_refused(gen, labels, reason):
    with pytest.raises(OptionError, match=reason):
        gen.generate("a", processors=[MultipleChoice(multiple_choice=labels)])


# trigger_phrase


@ways()
def test_a_phrase_stands_behind_each_trigger(gen, way):
    options = {"trigger_phrase": "zzz", "trigger_phrase_at": "e", "trigger_phrase_count": 2}
    prompts = ["once", "a", "the end of it", "aaaa"]
    texts = gen.generate(prompts, **way, processors=[TriggerPhrase(**options)]).texts

    assert any("e" in text for text in texts)
    for text in texts:
        _, *behind = text.split("e")
        assert [] == [part for part in behind[:2] if not "zzz".startswith(part[:3])]


def test_a_trigger_is_found_however_it_is_cut():
    trigger = TriggerPhrase(trigger_phrase="x", trigger_phrase_at="abc")
    rows = spelled("zabc", "abcz", "zab")

    due = process(trigger, torch.zeros(3, 29), rows)[:, 0].isneginf().tolist()

    # The second row's prompt has a part of it, which does not count.
    assert [True, False, False] == due


def test_a_phrase_that_has_its_trigger_does_not_trigger_itself(gen):
    options = {"trigger_phrase": "eee", "trigger_phrase_at": "e", "trigger_phrase_count": 1}
    plain = gen.generate("once", strategy="greedy", max_new_tokens=60).text
    chain = [TriggerPhrase(**options)]
    text = gen.generate("once", strategy="greedy", max_new_tokens=60, processors=chain).text
    start = plain.index("e")

    assert plain[: start + 1] + "eee" == text[: start + 4]
    assert "eeeee" not in text


@ways()
def test_a_trigger_is_replaced_so_often(gen, way):
    options = {"trigger_phrase": "zx", "trigger_phrase_at": "e", "trigger_phrase_instead": True}
    trigger = TriggerPhrase(**options, trigger_phrase_count=99)
    texts = gen.generate(["once", "a"], **way, processors=[trigger]).texts

    assert any("zx" in text for text in texts)
    assert not any("e" in text for text in texts)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs trigger_phrase_at"),
        ({"trigger_phrase_at": "ab", "trigger_phrase_instead": True}, "has 2 tokens: expected one"),
    ],
)
def test_triggers_that_cannot_be_are_refused(gen, options, reason):
    with pytest.raises(OptionError, match=reason):
        gen.generate("a", processors=[TriggerPhrase(trigger_phrase="z", **options)])


# prevent_hallucination


def doubts(pattern, tolerate=1):
    """Return what rows say that are unsure where the pattern has a question mark."""
    letters = Letters()
    script = iter(pattern)

    def scripted(logits, rows):
        sure = torch.zeros_like(logits)
        return sure if next(script) == "?" else sure.index_fill(1, torch.tensor([23]), 20.0)

    doubt = PreventHallucination(
        prevent_hallucination=0.4,
        prevent_hallucination_tolerate=tolerate,
        prevent_hallucination_phrase="hm.",
    )
    small = Generator(TableModel(29), letters, decoder=letters)
    return small.generate(
        "a", strategy="greedy", processors=[scripted, doubt], max_new_tokens=len(pattern)
    ).text


@pytest.mark.parametrize(
    ("pattern", "tolerate", "text"),
    [
        ("!!!!", 1, "xxxx"),
        ("?!?!?!", 1, "axaxax"),
        ("!??!!!!", 1, "xahm.xx"),
        ("!?!!!", 0, "xhm.x"),
        ("????????", 1, "ahm.ahm."),
    ],
)
def test_a_row_speaks_when_it_was_unsure_for_too_long(pattern, tolerate, text):
    assert text == doubts(pattern, tolerate)


@ways()
def test_a_row_in_doubt_says_all_of_its_phrase(gen, way):
    options = {"prevent_hallucination": 0.5, "prevent_hallucination_phrase": "zxz"}
    texts = gen.generate(["once", "a"], **way, processors=[PreventHallucination(**options)]).texts

    assert any("zxz" in text for text in texts)


def test_a_drawn_row_says_its_phrase_though_all_tokens_are_alike(gen):
    doubt = PreventHallucination(
        prevent_hallucination=1.0,
        prevent_hallucination_tolerate=0,
        prevent_hallucination_phrase="hm.",
    )
    text = gen.generate("a", processors=[doubt], temperature=9.0, max_new_tokens=6, seed=3).text

    assert "hm.hm." == text


def test_prompts_have_options_of_their_own(tmp_path):
    save_tiny_model(tmp_path)
    gen = Generator.from_pretrained(tmp_path, plugins=[gpt2sdk_zoo])
    settings = {"trigger_phrase": "zz", "trigger_phrase_at": "e", "max_new_tokens": 60}
    both = gen.generate(
        ["once", "a"],
        trigger_phrase=each(["zz", None]),
        trigger_phrase_at="e",
        cite_from_prompt=[0.0, 5.0],
        max_new_tokens=60,
        seed=[1, 2],
    ).texts
    alone = gen.generate("once", **settings, seed=1).text
    cited = gen.generate("a", cite_from_prompt=5.0, max_new_tokens=60, seed=2).text

    assert [alone, cited] == both
