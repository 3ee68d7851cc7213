"""Everything with everything: random chains, strategies, drafters and batches, by a slow reference.

The reference replays each row in a session of its own before every token, so that logits and all
that components remember are made anew; it has no batch, no cache that lasts and no drafts. Where
rows depend on one another, the reference is the call of that prompt alone.

What acts comes from the lists that the plugins' conformance tests are run with, so that whatever
is added there is combined here.
"""

import runpy
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpt2sdk import (
    Drafter,
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    Prompt,
    Sampler,
    StoppingCriterion,
    Strategy,
)
from gpt2sdk.defaults import Greedy, Multinomial, greedy, sample
from gpt2sdk.options import compose
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.rng import derive
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.reader import Reader
from gpt2sdk.session.request import Lead
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk.testing.trial import ByHand

ROOT = Path(__file__).parents[1]
VOCAB_SIZE, END, MOST = 29, 28, 12
LETTERS = Letters()


def listed(role):
    """Everything of a role that a conformance test is run with, each kind several times."""
    modules = sorted(ROOT.glob("plugins/*/tests/test_*_conformance.py"))
    values = [each for path in modules for each in runpy.run_path(str(path)).get("COMPONENTS", ())]
    return [each for each in values if isinstance(each, role)]


PROCESSORS = listed(LogitsProcessor)
CRITERIA = [each for each in listed(StoppingCriterion) if each.name != "max_time"]
SAMPLERS = [Multinomial(), *listed(Sampler)]
DRAFTERS = listed(Drafter)
DEPENDENT = [each for each in listed(Strategy) if not each.rows_independent]


def table_model():
    """Return a model whose rows soon repeat themselves, so that drafts hold now and then."""
    return TableModel(VOCAB_SIZE, order=1, bias={END: -1.0}, context_length=512)


def make_generator():
    return Generator(table_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def written(prompts, **options):
    """Return the tokens and the reason of each completion, whether something was wrong or not."""
    try:
        result = make_generator().generate(prompts, max_new_tokens=MOST, **options)
    except GenerationError as error:
        result = error.partial
    return [(list(each.tokens), each.finish_reason) for each in result.completions]


def replayed(tokens, seed, sampler, options):
    """Return the same of one prompt, by the reference."""
    composition = compose(options, registry=default_registry(), prompts=1).ending_at([END])
    new = []
    while True:
        prompt = Prompt(0, tuple(tokens), seed, MOST, eos_token_ids=frozenset([END]))
        (request,) = composition.requests([prompt], streaming=False, cancelled=lambda: False)
        request.lead = Lead(ByHand(), sampler)
        session = DecodingSession(Reader(table_model()), LETTERS, LETTERS, [request])
        session.course.refill(1)
        for token in [*new, None]:
            picked = session.choose(session.process(session.next_logits()))
            reason = session.rows.finish_reason[0]
            if reason is None and token is not None:
                session.append([token])
                reason = session.rows.finish_reason[0]
            if reason is not None:
                return new, reason
        new.append(int(picked[0]))


prompts = st.lists(
    st.lists(st.integers(0, VOCAB_SIZE - 2), min_size=1, max_size=6), min_size=1, max_size=4
)
chains = st.lists(st.sampled_from(PROCESSORS), max_size=4)
criteria = st.lists(st.sampled_from(CRITERIA), max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    prompts,
    chains,
    criteria,
    st.sampled_from([greedy, *SAMPLERS]),
    st.sampled_from([None, *DRAFTERS]),
    st.integers(1, 4),
    st.integers(0, 9),
)
def test_any_chain_gives_what_the_reference_gives(
    prompts, chain, criteria, draw, drafter, batch_size, seed
):
    picking = {"strategy": greedy} if draw is greedy else {"strategy": sample, "sampler": draw}
    acting = {"processors": chain, "stopping": criteria}
    try:
        got = written(
            prompts, **acting, **picking, drafter=drafter, batch_size=batch_size, seed=seed
        )
    except OptionError:
        assume(False)  # noqa: FBT003 - some do not go together, and say so before work begins
    sampler = Greedy() if draw is greedy else draw
    expected = [
        replayed(tokens, derive(seed, place), sampler, {**acting, **picking})
        for place, tokens in enumerate(prompts)
    ]

    assert expected == got


@pytest.mark.parametrize("strategy", DEPENDENT, ids=[each.name for each in DEPENDENT])
@settings(max_examples=8, deadline=None)
@given(prompts, chains, criteria, st.integers(1, 4), st.integers(0, 9))
def test_any_strategy_gives_a_prompt_what_it_gives_it_alone(
    strategy, prompts, chain, criteria, batch_size, seed
):
    options = {"processors": chain, "stopping": criteria, "strategy": strategy}
    try:
        got = written(prompts, **options, batch_size=batch_size, seed=seed)
    except OptionError:
        assume(False)  # noqa: FBT003 - as above
    expected = [
        each
        for place, tokens in enumerate(prompts)
        for each in written([tokens], **options, seed=derive(seed, place))
    ]

    assert expected == got
