"""Token healing: what is cut off, what begins a row, and what a caller reads."""

import pytest
import torch

from gpt2sdk import Generator, OptionError, each
from gpt2sdk.testing import TableModel, make_rows, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.token_healing import TokenHealing

TOKENIZER = tiny_tokenizer()
HEALING = TokenHealing(token_healing=True)
END = TOKENIZER.special_tokens["<|endoftext|>"]


def texts_of(tokens):
    return [TOKENIZER.token_text(token) for token in tokens]


def broken(prompt):
    (count,) = HEALING.cut_back([prompt], TOKENIZER, TOKENIZER.vocab_size)
    return texts_of(prompt[len(prompt) - count :])


@pytest.fixture(scope="module")
def generator():
    """A model that likes ` time`."""
    model = TableModel(TOKENIZER.vocab_size, bias={TOKENIZER.encode(" time")[0]: 20.0})
    return Generator(model, TOKENIZER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the ti", [" t", "i"]),
        ("the t", [" t"]),
        ("the time", []),
        ("the ", [" "]),
        ("a pond, O", ["O"]),
        ("a pond, On", ["On"]),
        ("a pond, Once", []),
        ("the", []),
        ("t", []),
        ("a an", [" ", "an"]),
        ("xé", []),
    ],
)
def test_the_beginning_of_a_longer_token_is_cut_off(text, expected):
    assert expected == broken(TOKENIZER.encode(text))


def test_special_tokens_and_the_first_token_are_not_cut_off():
    assert [] == broken([END, END])
    assert [" t"] == broken([END, *TOKENIZER.encode(" t")])
    assert [] == broken(TOKENIZER.encode(" t"))


def test_a_row_goes_on_with_what_was_cut_off_or_completes_it():
    rows = make_rows([[0]], cuts=[TOKENIZER.encode(" ti")])
    session = open_session([rows.records[0].prompt], vocab_size=TOKENIZER.vocab_size)
    session.vocabulary = TOKENIZER
    run = HEALING.start(session)

    def allowed():
        found = run.process(torch.zeros(1, TOKENIZER.vocab_size), session.rows)[0].isfinite()
        return set(texts_of(found.nonzero()[:, 0].tolist())) if not found.all() else None

    assert {" ", " t", " time"} == allowed()
    session.append(TOKENIZER.encode(" "))
    assert {"t"} == allowed()
    session.append(TOKENIZER.encode("t"))
    assert {"i", "in", "ime"} == allowed()
    session.append(TOKENIZER.encode("in"))
    assert allowed() is None
    session.rewind([2])
    assert {"t"} == allowed()


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "greedy"},
        {"seed": 5},
        {"strategy": "beam", "num_beams": 3},
        {"strategy": "greedy", "drafter": "prompt_lookup"},
        {"strategy": "greedy", "batch_size": 2},
    ],
    ids=str,
)
def test_a_text_goes_on_behind_the_prompt_as_it_was_written(generator, options):
    prompts = ["the ti", "once upon a t", "Once"]
    result = generator.generate(prompts, token_healing=True, max_new_tokens=6, **options)
    streamed = ["", "", ""]
    for delta in generator.stream(prompts, token_healing=True, max_new_tokens=6, **options):
        streamed[delta.prompt_index] += delta.text

    assert result.texts == streamed
    for prompt, completion in zip(prompts, result.completions, strict=True):
        ids = TOKENIZER.encode(prompt)
        kept = ids[: len(ids) - len(broken(ids))]
        whole = TOKENIZER.decode([*kept, *completion.tokens])
        assert whole == prompt + completion.text
        assert 6 == len(completion.tokens)
    assert ["me", "ime"] == [result.texts[0][:2], result.texts[1][:3]]


def test_a_row_that_ends_before_its_prompt_does_has_no_text(generator):
    ti = [TOKENIZER.encode(each)[0] for each in (" ", "t", "i")]
    model = TableModel(TOKENIZER.vocab_size, bias=dict.fromkeys(ti, 30.0))
    result = Generator(model, TOKENIZER).generate("the ti", token_healing=True, max_new_tokens=2)

    assert ("", 2) == (result.text, len(result.completions[0].tokens))


def test_a_row_alone_is_as_in_a_batch(generator):
    prompts = ["the ti", "Once", "a t"]
    options = {"token_healing": True, "max_new_tokens": 8, "seed": [1, 2, 3]}
    together = generator.generate(prompts, **options)
    for index, prompt in enumerate(prompts):
        alone = generator.generate(prompt, **options | {"seed": index + 1})
        assert together.completions[index].tokens == alone.completions[0].tokens


def test_each_prompt_may_have_it_or_not(generator):
    texts = generator.generate(
        ["the ti"] * 2, token_healing=each([True, None]), strategy="greedy", max_new_tokens=2
    ).texts

    assert [True, False] == [text.startswith("me") for text in texts]


def test_a_stop_text_is_looked_for_behind_the_prompt_alone(generator):
    options = {"token_healing": True, "strategy": "greedy", "max_new_tokens": 3}
    inside = generator.generate("the ti", stop=["ti"], **options)
    across = generator.generate("the ti", stop=["time"], stop_spans_prompt=True, **options)
    behind = generator.generate("the ti", stop=["me"], **options)

    assert inside.text.startswith("me")
    assert [("", "stop_string")] * 2 == [
        (result.text, result.completions[0].finish_reason) for result in (across, behind)
    ]


def test_a_prompt_counts_without_what_was_cut_off(generator):
    usage = generator.generate("the ti", token_healing=True, max_new_tokens=1).usage

    assert ["t", "he", " t", "i"] == texts_of(TOKENIZER.encode("the ti"))
    assert 2 == usage.prompt_tokens


def test_it_is_a_switch():
    with pytest.raises(OptionError, match="token_healing should be a valid boolean"):
        TokenHealing(token_healing=1)
