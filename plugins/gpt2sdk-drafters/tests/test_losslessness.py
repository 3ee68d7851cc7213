"""No drafter changes what is picked: with everything, in batches, on refilled seats."""

import pytest

from gpt2sdk import Generator
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer
from gpt2sdk_drafters.corpus import Corpus
from gpt2sdk_drafters.draft_model import DraftModel
from gpt2sdk_drafters.early_exit import EarlyExit
from gpt2sdk_drafters.suffix import Suffix

ALPHABET = "abcdefghij."
END = len(ALPHABET)
LETTERS = Letters(ALPHABET)
TINY = tiny_gpt2().double()
PROMPTS = {
    "table": ["abcab" * 3, "jihg" * 2, "a", "dedede", "cc", "fghij" * 2, "bad", "gag"],
    "gpt2": [
        "Once upon a time in the pond",
        "and on and on",
        "the time the time the time",
        "in the pond he went",
        "a",
    ],
}
SHARP = {"temperature": 0.5, "top_k": 5}
CASES = {
    "greedy": {"strategy": "greedy", "stop": ["ha", "the the"]},
    "sample": {"temperature": 1.3},
    "penalties": {**SHARP, "repetition_penalty": 1.3, "presence_penalty": 0.4, "top_p": 0.9},
    "no_repeat": {"strategy": "greedy", "no_repeat_ngram_size": 3},
    "mirostat": {"sampler": "mirostat", "mirostat_tau": 2.0},
    "guidance": {**SHARP, "guidance_scale": 1.5, "negative_prompt": "a"},
    "samples": {**SHARP, "num_return_sequences": 3},
    "backtrack": {"strategy": "backtrack", "banned_phrases": ["a", "he"], "temperature": 0.8},
    "beam": {"strategy": "beam", "num_beams": 3},
}


class Free(EarlyExit):
    """Costs nothing, so that it is asked however little it may save."""

    def cost(self, session):
        return 0.0


def generators():
    """Make a generator of each kind; the table's end token is likely, so that seats refill."""
    table = TableModel(END + 1, order=2, scale=4.0, bias={END: -2.0})
    return {
        "table": Generator(table, LETTERS, decoder=LETTERS, eos_token_ids=[END]),
        # In float64: sums of another order then differ too little to decide a draw.
        "gpt2": Generator(TINY, tiny_tokenizer()),
    }


def drafters(kind, folder):
    """Make each drafter for a generator; models cost nothing here, so that they are asked."""
    path = folder / "corpus.txt"
    path.write_text("abcabcabcdefghij" if kind == "table" else "Once upon the time in the pond")
    if kind == "table":
        alike = TableModel(END + 1, order=2, scale=4.0, seed=0, bias={END: -1.0})
        other = Generator(alike, Letters(ALPHABET[::-1]), decoder=LETTERS)
    else:
        alike = tiny_gpt2()
        letters = Letters()
        other = Generator(TableModel(28), letters, decoder=letters)
    return {
        "prompt_lookup": "prompt_lookup",
        "suffix": Suffix(),
        "corpus": Corpus(corpus=str(path)),
        "draft_model": DraftModel(assistant_model=alike, assistant_cost=0.0),
        "confident": DraftModel(
            assistant_model=alike, assistant_cost=0.0, assistant_confidence_threshold=0.4
        ),
        "another tokenizer": DraftModel(assistant_model=other, assistant_cost=0.0),
        "early_exit": Free(assistant_early_exit=1),
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["table", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_tokens_are_the_same_with_every_drafter(kind, case, tmp_path):
    gen, prompts = generators()[kind], PROMPTS[kind]
    options = {"max_new_tokens": 24, "seed": list(range(len(prompts))), **CASES[case]}
    expected = gen.generate(prompts, **options)
    drafted = {}
    for name, drafter in drafters(kind, tmp_path).items():
        found = gen.generate(prompts, drafter=drafter, batch_size=3, **options)
        drafted[name] = found.usage.drafted

        assert expected.texts == found.texts, name
        for one, other in zip(expected.completions, found.completions, strict=True):
            assert (one.tokens, one.finish_reason) == (other.tokens, other.finish_reason)
    # A case in which nothing is proposed shows nothing; models always have something to propose.
    assert drafted["draft_model"]
    assert drafted["early_exit"]


def test_tokens_are_the_same_where_rows_slide_on(tmp_path):
    model = TableModel(END + 1, order=2, scale=4.0, context_length=24)
    gen = Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])
    options = {"max_new_tokens": 60, "overflow": "slide", "eos_token_id": None, "seed": 5}
    expected = gen.generate(PROMPTS["table"], **options)
    for drafter in drafters("table", tmp_path).values():
        found = gen.generate(PROMPTS["table"], drafter=drafter, **options)

        assert expected.texts == found.texts
        assert found.usage.drafted


def test_calls_on_one_engine_keep_their_tokens(tmp_path):
    gen = generators()["table"]
    made = drafters("table", tmp_path)
    expected = [gen.generate(PROMPTS["table"], seed=seed).texts for seed in range(len(made))]
    engine = gen.engine(batch_size=4)
    streams = [
        gen.stream(PROMPTS["table"], seed=seed, drafter=drafter, engine=engine)
        for seed, drafter in enumerate(made.values())
    ]
    for stream in streams:
        for _ in stream:
            pass

    assert expected == [stream.result.texts for stream in streams]
