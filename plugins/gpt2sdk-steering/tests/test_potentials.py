"""Potentials: what they weigh, their algebra, and the check of their promises."""

import itertools
import math

import pytest
import torch

from gpt2sdk import Generator, LogitsProcessor, OptionError, Prompt
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_steering import (
    AllowedTokens,
    Continuation,
    MirrorPotential,
    Potential,
    ProcessorPotential,
    TextPotential,
    as_potential,
    check_potential,
    posterior,
)

LETTERS = Letters("abc")
END = 3


def written(text, vocabulary=LETTERS, ends=(END,)):
    prompt = Prompt(0, (0,), eos_token_ids=frozenset(ends))
    return Continuation(text, tuple(vocabulary.encode(text)), prompt, vocabulary)


class Bigrams(Potential):
    """A table of what may follow what; rows are log weights of a, b, c and the end."""

    TABLE = torch.tensor([[0.5, 1.0, -math.inf, 0.0], [0.0, 0.25, 2.0, -1.0], [1.5, 0.0, 0.0, 0.5]])

    def prefix(self, continuation):
        tokens = [0, *continuation.tokens]
        return math.fsum(float(self.TABLE[a, b]) for a, b in itertools.pairwise(tokens))

    def next(self, continuation):
        return self.TABLE[[0, *continuation.tokens][-1]]


class Other(Bigrams):
    """The same, but something is wrong with it."""

    wrong = ""

    def next(self, continuation):
        return super().next(continuation) + (self.wrong == "next")

    def batch_prefix(self, some):
        return [each + (self.wrong == "batch") for each in super().batch_prefix(some)]

    def complete(self, continuation):
        if self.wrong == "revived":
            return 0.0
        return math.nan if self.wrong == "nan" else super().complete(continuation)


def test_a_function_of_a_text_weighs_finished_and_unfinished_alike():
    potential = as_potential(lambda text: 2 * text.count("a"))

    assert (4.0, 4.0) == (potential.prefix(written("aba")), potential.complete(written("aba")))


def test_a_terminal_function_weighs_texts_at_their_end_only():
    potential = TextPotential(lambda text: float(len(text)))

    assert (0.0, 3.0) == (potential.prefix(written("aba")), potential.complete(written("aba")))


def test_products_add_and_powers_multiply_log_weights():
    potential = Bigrams() * as_potential(lambda text: float(len(text))) ** 2.0

    assert 1.0 + 0.25 + 4.0 == potential.complete(written("bb"))
    assert [5.25, 2.5] == potential.batch_prefix([written("bb"), written("a")])


def test_zero_weight_stays_zero_in_every_power_and_product():
    for potential in (Bigrams() ** 0.0, Bigrams() ** 3.0, Bigrams() * Bigrams()):
        assert -math.inf == potential.prefix(written("c"))
        assert -math.inf == float(potential.next(written(""))[2])


def test_normalized_weights_of_next_tokens_add_up_to_one():
    potential = (Bigrams() * Bigrams()).normalize()
    weights = potential.next(written("b"))

    assert abs(float(weights.exp().sum()) - 1.0) < 1e-6
    expected = float(potential.next(written(""))[1] + weights[1])
    assert abs(potential.prefix(written("bb")) - expected) < 1e-6


def test_a_sum_of_all_normalized_texts_is_one():
    local, total = Bigrams().normalize(), 0.0
    texts = [written("")]
    for _ in range(30):
        total += sum(math.exp(local.complete(each.then(END))) for each in texts)
        texts = texts if len(texts) > 1 else [texts[0].then(t) for t in (0, 1, 2)]
        if len(texts[0].tokens) >= 3:
            break
        texts = [each.then(t) for each in texts for t in (0, 1, 2)]
    assert 0.0 < total < 1.0


@pytest.mark.parametrize("beta", [-1.0, math.inf, math.nan])
def test_powers_are_finite_and_not_negative(beta):
    with pytest.raises(ValueError, match="power of 0 or more"):
        Bigrams() ** beta


def test_what_knows_no_next_tokens_cannot_be_normalized():
    with pytest.raises(TypeError, match="does not override next"):
        as_potential(len).normalize()


@pytest.mark.parametrize(
    "potential",
    [
        Bigrams(),
        Bigrams() ** 0.5,
        Bigrams() * Bigrams(),
        (Bigrams() * Bigrams() ** 2.0).normalize(),
        as_potential(lambda text: -float(len(text))),
        AllowedTokens(lambda it: [0, 1, END]),
    ],
    ids=["itself", "power", "product", "normalized", "function", "constraint"],
)
def test_these_keep_their_promises(potential):
    check_potential(potential, ["abca", "bbb"], vocabulary=LETTERS, eos_token_ids=[END])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("next", "next gives token"),
        ("batch", "batch_prefix gives"),
        ("revived", "ruled out"),
        ("nan", "complete gives nan"),
    ],
)
def test_broken_promises_are_found(wrong, message):
    potential = Other()
    check_potential(potential, ["cab"], vocabulary=LETTERS, eos_token_ids=[END])
    potential.wrong = wrong

    with pytest.raises(AssertionError, match=message):
        check_potential(potential, ["cab"], vocabulary=LETTERS, eos_token_ids=[END])


def test_what_weighs_rows_only_cannot_be_checked():
    with pytest.raises(TypeError, match="weighs rows of a session"):
        check_potential(MirrorPotential("a"), ["ab"], vocabulary=LETTERS)


@pytest.mark.parametrize("thing", ["no", 3, TextPotential, lambda: 0.0, lambda a, b: 0.0])
def test_other_things_are_no_potentials(thing):
    with pytest.raises(OptionError, match="a potential is a Potential, a function"):
        as_potential(thing)


class Raise(LogitsProcessor):
    """Makes b likelier by a nat."""

    b: bool = False

    def process(self, logits, rows):
        return logits + torch.tensor([0.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    "wrong",
    [
        Raise(b=True),
        ProcessorPotential(Raise(b=True)),
        ProcessorPotential(Raise(b=True)) * TextPotential(len),
        ProcessorPotential(Raise(b=True)) ** 2.0,
        ProcessorPotential(Raise(b=True)).normalize(),
        MirrorPotential("a"),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_weighs_rows_only_is_no_constraint_that_texts_are_rejected_by(gen, wrong):
    with pytest.raises(OptionError, match=r"constraint should judge texts.* give it as potential="):
        gen.generate("a", strategy="awrs", constraint=wrong)


def test_a_name_is_no_potential_and_says_how_the_component_is_set(gen):
    with pytest.raises(OptionError, match="a component of this name is set by its own options"):
        gen.generate("a", strategy="smc", potential="json_schema")


@pytest.fixture(scope="module")
def gen():
    model = TableModel(vocab_size=4, scale=1.0, bias={END: 0.5}, seed=9)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def evidence(gen, potential, **options):
    options = {"num_particles": 64, "num_return_sequences": 64, "seed": 3, **options}
    result = gen.generate("ac", strategy="smc", potential=potential, max_new_tokens=1, **options)
    return math.exp(posterior(result).log_evidence)


def probs(gen, prompt):
    scores = gen.model.score(gen.model.make_cache(1), [LETTERS.encode(prompt)], [1])
    return scores.logits[0].softmax(-1)


def test_a_processor_weighs_what_it_adds(gen):
    p = probs(gen, "ac")
    expected = float(1.0 + p[1] * (math.e - 1.0))

    assert abs(evidence(gen, ProcessorPotential(Raise(b=True)), at_limit="cut") - expected) < 1e-5
    assert abs(evidence(gen, Raise(b=True), at_limit="cut") - expected) < 1e-5


class Twice(LogitsProcessor):
    """Add each token's log-probability once more."""

    twice: bool = True

    def process(self, logits, rows):
        return 2.0 * logits


def test_a_power_of_the_model_is_not_what_a_potential_reads(gen):
    result = gen.generate(
        "ac",
        strategy="power_sampling",
        alpha=4.0,
        potential=ProcessorPotential(Twice()),
        num_moves=1,
        max_new_tokens=5,
        num_return_sequences=6,
        logprobs=0,
        seed=3,
    )

    # alpha * log p, and log p by the processor.
    expected = [5.0 * sum(each.logprobs) for each in result.completions]
    assert pytest.approx(expected, abs=1e-4) == [each.score for each in result.completions]


def test_a_mirror_weighs_by_another_prompt(gen):
    expected = float((probs(gen, "ac") * probs(gen, "cb")).sum())
    half = float((probs(gen, "ac") * probs(gen, "cb").sqrt()).sum())
    mirror = MirrorPotential("cb")

    assert abs(evidence(gen, mirror, at_limit="cut") - expected) < 1e-5
    assert abs(evidence(gen, mirror**0.5, at_limit="cut") - half) < 1e-5


def test_a_mirror_may_be_another_model_or_prompt_function(gen):
    other = TableModel(vocab_size=4, scale=1.0, seed=2)
    scores = other.score(other.make_cache(1), [[0, 2]], [1]).logits[0].softmax(-1)
    expected = float((probs(gen, "ac") * scores).sum())

    assert abs(evidence(gen, MirrorPotential(model=other), at_limit="cut") - expected) < 1e-5
    mirror = MirrorPotential(lambda prompt: prompt.tokens, other)
    assert abs(evidence(gen, mirror, at_limit="cut") - expected) < 1e-5


def test_the_empty_prefix_counts(gen):
    class Twice(Bigrams):
        """Twice as much, whatever is written."""

        def prefix(self, continuation):
            return math.log(2.0) + super().prefix(continuation)

    once = evidence(gen, Bigrams())
    assert abs(evidence(gen, Twice()) - 2.0 * once) < 1e-4


def test_a_text_cut_at_the_limit_weighs_as_a_whole(gen):
    class Ends(Bigrams):
        """Finished texts have another weight than prefixes."""

        def complete(self, continuation):
            return super().complete(continuation) + math.log(3.0)

        def next(self, continuation):
            return super().next(continuation) + torch.tensor([0.0, 0.0, 0.0, math.log(3.0)])

    check_potential(Ends(), ["abca"], vocabulary=LETTERS, eos_token_ids=[END])
    once = evidence(gen, Bigrams(), at_limit="cut")
    many = {"num_particles": 2000, "num_return_sequences": 2000}
    # That 3 is not known before a token is drawn, so particles differ: this is an average.
    assert abs(evidence(gen, Ends(), at_limit="cut", **many) - 3.0 * once) < 0.1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_none_are_errors(gen, value):
    with pytest.raises(Exception, match="potential gave"):
        evidence(gen, lambda text: value)
