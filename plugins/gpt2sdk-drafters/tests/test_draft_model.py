"""What a draft model proposes, for what price, and which models it takes."""

import gc
import weakref

import pytest
import torch

from gpt2sdk import Drafter, Generator, GPT2Config, OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import (
    Letters,
    TableModel,
    make_rows,
    save_tiny_model,
    tiny_gpt2,
    tiny_tokenizer,
)
from gpt2sdk_drafters import draft_model as module
from gpt2sdk_drafters.draft_model import DraftModel, TranslatedModel
from gpt2sdk_drafters.drafting_model import confident
from gpt2sdk_drafters.early_exit import EarlyExit
from gpt2sdk_drafters.translation import Translation

ALPHABET = "abcdefghij."
LETTERS = Letters(ALPHABET)
CHAIN = {"temperature": 0.8, "top_k": 6, "repetition_penalty": 1.2}


def generator(seed=0, letters=LETTERS, size=11, **options):
    model = TableModel(size, **{"order": 2, "scale": 2.0, "seed": seed, **options})
    return Generator(model, letters, decoder=letters, eos_token_ids=[])


def cost(gen, drafter, rows=1, **options):
    """Return the usage of a call, with 100 new tokens for each row."""
    prompts = ["abcdefgh"[: 3 + row % 5] for row in range(rows)]
    made = gen.generate(prompts, drafter=drafter, max_new_tokens=100, seed=3, **options)
    assert made.texts == gen.generate(prompts, max_new_tokens=100, seed=3, **options).texts
    return made.usage


class Likeliest(DraftModel):
    """Proposes the likeliest token, whatever is drawn."""

    def start(self, session):
        same = Translation(LETTERS, LETTERS)
        return TranslatedModel(self.found(session)[0], same, 0.0)


@pytest.mark.parametrize("options", [{"strategy": "greedy"}, {}, CHAIN])
@pytest.mark.parametrize("rows", [1, 8])
def test_a_draft_like_the_model_is_always_right(rows, options):
    gen = generator()
    usage = cost(gen, DraftModel(assistant_model=generator(), assistant_cost=0.1), rows, **options)

    assert usage.drafted == usage.accepted > 75 * rows
    assert usage.model_calls < 25


def test_a_draft_that_draws_with_the_same_numbers_agrees_far_more_often_than_a_greedy_one():
    gen = generator(scale=1.0)
    draft = {"assistant_model": Blurred(gen.model), "assistant_cost": 0.0}
    same = cost(gen, DraftModel(**draft), 8)
    greedy = cost(gen, Likeliest(**draft), 8)

    assert same.accepted / same.drafted > 0.75
    assert greedy.accepted / greedy.drafted < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_two_distributions_race_to_one_token_as_often_as_is_promised(seed):
    rows = make_rows([[0]] * 4000, seed=seed)
    logits = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed))
    one, other = (each.expand(4000, -1) for each in logits)
    far = (logits.softmax(-1)[0] - logits.softmax(-1)[1]).abs().sum().item() / 2
    agreed = (rows.race(one, "x") == rows.race(other, "x")).double().mean().item()

    assert (1 - far) / (1 + far) - 0.03 < agreed < 1 - far + 0.03


class Blurred:
    """A model whose logits are another's, a little less sure of itself."""

    def __init__(self, model):
        self.inner = model
        self.vocab_size, self.context_length = model.vocab_size, model.context_length
        self.layers, self.device, self.make_cache = model.layers, model.device, model.make_cache

    def score(self, cache, tokens, keep, hidden_states=()):
        scores = self.inner.score(cache, tokens, keep, hidden_states)
        return type(scores)(0.95 * scores.logits, scores.hidden_states)


def test_each_token_is_fed_to_the_draft_once():
    gen, draft = generator(), TableModel(11, order=2, scale=2.0)
    usage = cost(gen, DraftModel(assistant_model=draft, assistant_cost=0.1))

    # The prompt, what was appended, and no more: the draft is always right.
    assert 3 + 100 >= draft.tokens_fed
    assert draft.calls >= usage.drafted


def test_keys_of_the_draft_are_freed_with_the_call():
    runs = []

    class Watched(DraftModel):
        def start(self, session):
            run = super().start(session)
            runs.append(weakref.ref(run))
            return run

    gc.collect()
    gc.disable()
    try:
        cost(generator(), Watched(assistant_model=generator(), assistant_cost=0.1))
        assert [None] == [run() for run in runs]
    finally:
        gc.enable()


def test_nothing_is_drafted_where_it_cannot_pay():
    gen = generator()
    dear = DraftModel(assistant_model=generator(), assistant_cost=1.0)

    assert 0 == cost(gen, dear).drafted


@pytest.mark.parametrize("rows", [1, 8, 32])
def test_a_draft_that_is_always_wrong_costs_little(rows):
    gen, draft = generator(bias={10: -99.0}), Constant(11)
    vain = cost(gen, DraftModel(assistant_model=draft, assistant_cost=0.2), rows)

    assert 0 == vain.accepted < vain.drafted
    assert vain.drafted <= (100 + 8) * rows / 8
    assert draft.calls <= 0.4 * vain.model_calls


class Constant(TableModel):
    """Always sure of the tenth token."""

    def score(self, cache, tokens, keep, hidden_states=()):
        scores = super().score(cache, tokens, keep, hidden_states)
        logits = scores.logits * 0.0
        logits[:, 10] = 90.0
        return type(scores)(logits, scores.hidden_states)


def test_proposals_end_where_the_draft_is_not_sure():
    gen = generator(scale=1.0)
    sure = DraftModel(
        assistant_model=generator(scale=1.0),
        assistant_cost=0.0,
        assistant_confidence_threshold=1.0,
    )

    assert 0 == cost(gen, sure).drafted
    assert [3, -1, -1] == confident(torch.zeros(3, 5), [3, -1, -1], 0.2)


def test_nothing_is_proposed_behind_an_end_token():
    ends = TableModel(11, order=2, bias={10: 60.0})
    gen = Generator(generator().model, LETTERS, decoder=LETTERS, eos_token_ids=[10])
    seen = []

    class Watched(DraftModel):
        def start(self, session):
            run = super().start(session)
            real = run.propose

            def propose(rows, k):
                seen.extend(real(rows, k).tolist())
                return real(rows, k)

            run.propose = propose
            return run

    gen.generate(
        "abcdefghij" * 4,
        drafter=Watched(assistant_model=ends, assistant_cost=0.0),
        strategy="greedy",
        max_new_tokens=40,
    )

    assert seen
    assert {10} == {line[0] for line in seen}
    assert {-1} >= {token for line in seen for token in line[1:]}


def test_a_draft_with_a_smaller_window_reads_the_end_of_the_text():
    gen = generator()
    small = TableModel(11, order=2, scale=2.0, context_length=8)
    usage = cost(gen, DraftModel(assistant_model=small, assistant_cost=0.1))

    assert usage.drafted == usage.accepted > 75


# -------------------------------------------------------------------------------- which models


def test_a_folder_is_loaded_once(tmp_path):
    save_tiny_model(tmp_path)
    module.load.cache_clear()
    gen = Generator(tiny_gpt2(), tiny_tokenizer())
    options = {
        "drafter": "draft_model",
        "assistant_model": str(tmp_path),
        "assistant_cost": 0.1,
        "strategy": "greedy",
        "max_new_tokens": 60,
    }
    made = [gen.generate("Once upon a time", **options).usage for _ in range(2)]

    assert all(usage.drafted == usage.accepted > 20 for usage in made)
    assert 1 == module.load.cache_info().misses
    module.load.cache_clear()


def test_a_bare_model_has_as_many_tokens_as_the_sessions():
    with pytest.raises(OptionError, match="has 12 tokens, the session's model 11: give a Gen"):
        cost(generator(), DraftModel(assistant_model=TableModel(12)))


@pytest.mark.parametrize("size", [11, 13])
def test_a_table_that_was_padded_makes_no_difference(size):
    model = TableModel(size, order=2, scale=2.0, bias=dict.fromkeys(range(11, size), -99.0))
    gen = Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[])
    padded = DraftModel(assistant_model=generator(size=14 - size + 11), assistant_cost=0.0)

    assert cost(gen, padded).drafted


@pytest.mark.parametrize("value", [3, None, ["storyteller"]])
def test_something_else_is_refused(value):
    with pytest.raises(OptionError, match="expects a Generator, a model, or what"):
        DraftModel(assistant_model=value)


def test_another_tokenizer_is_asked_by_text():
    # The same letters under other numbers, and the same table.
    backwards = Letters(ALPHABET[::-1])

    class Mirrored(TableModel):
        def score(self, cache, tokens, keep, hidden_states=()):
            turned = [[10 - token for token in line] for line in tokens]
            scores = super().score(cache, turned, keep, hidden_states)
            return type(scores)(scores.logits.flip(-1), scores.hidden_states)

    draft = Generator(Mirrored(11, order=2, scale=2.0), backwards, decoder=backwards)
    usage = cost(
        generator(), DraftModel(assistant_model=draft, assistant_cost=0.1), 8, strategy="greedy"
    )

    assert usage.drafted == usage.accepted > 8 * 75


def test_words_of_another_tokenizer_come_back_as_the_rows_own():
    """A draft that spells letters is right about a target that has whole words."""
    tokenizer, letters = tiny_tokenizer(), Letters("abcdefghijklmnopqrstuvwxyz ")
    text = "on the time and the " * 2

    class Reciting(TableModel):
        """Goes on with the text, letter by letter, after any part of it."""

        def score(self, cache, tokens, keep, hidden_states=()):
            scores = super().score(cache, tokens, keep, hidden_states)
            logits = scores.logits * 0.0
            lines = [slot for slot, fed in zip(cache.slots, tokens, strict=True) if fed]
            for at, slot in enumerate(lines):
                written = letters.decode(slot)
                logits[at, letters.encode(text[len(written) % 20])] = 50.0
            return type(scores)(logits, scores.hidden_states)

    run = TranslatedModel(Reciting(27), Translation(tokenizer, letters), 0.0)
    history = tokenizer.encode(text[:22])
    found = run.propose(make_rows([history]), 12).tolist()[0]

    # Twelve letters, " the time an", are six tokens, as "an" is one of its own.
    assert tokenizer.encode(text[:34])[len(history) :] == [each for each in found if each >= 0]
    assert 12 == len(found)


# ---------------------------------------------------------------------------------- early exit


def test_the_first_blocks_propose():
    model = TableModel(11, order=1, scale=2.0)
    gen = Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[])
    usage = cost(gen, EarlyExit(assistant_early_exit=1), 2)

    assert usage.drafted == usage.accepted > 0


@pytest.mark.parametrize("layers", [2, 3])
def test_a_model_leaves_a_block_out(layers):
    with pytest.raises(OptionError, match=f"less than 2, the number of .* got {layers}"):
        cost(generator(), EarlyExit(assistant_early_exit=layers))


def test_a_model_that_cannot_stop_early_is_refused():
    model = Blurred(TableModel(11))
    gen = Generator(model, LETTERS, decoder=LETTERS)
    with pytest.raises(OptionError, match="Blurred lacks"):
        cost(gen, EarlyExit(assistant_early_exit=1))


def test_costs_are_by_sizes():
    def sized(layers, width):
        return GPT2(
            GPT2Config(vocab_size=48, n_positions=8, n_embd=width, n_layer=layers, n_head=1)
        )

    sessions = []

    class Caught(Drafter):
        def start(self, session):
            sessions.append(session)
            return self

    gen = Generator(sized(4, 8), LETTERS, decoder=LETTERS)
    gen.generate("a", drafter=Caught(), max_new_tokens=1)
    session = sessions[0]

    exit_, small = EarlyExit(assistant_early_exit=1), {"assistant_model": sized(2, 4)}
    assert pytest.approx((768 + 384) / (4 * 768 + 384)) == exit_.cost(session)
    assert pytest.approx((2 * 192 + 192) / 3456) == DraftModel(**small).cost(session)
    assert 0.3 == DraftModel(**small, assistant_cost=0.3).cost(session)
    assert 0.0 == Caught().cost(session)
