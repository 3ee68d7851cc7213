"""Log-probabilities of what was appended: the model's own, or after the processors."""

import math
from collections import defaultdict

import pytest
import torch

from gpt2sdk import Generator, LogitsProcessor, Session, sample, strategy
from gpt2sdk.testing import tiny_gpt2, tiny_tokenizer
from gpt2sdk_drafters.prompt_lookup import PromptLookup

A, B, C = 0, 1, 2


class Half(LogitsProcessor):
    """Halves the logits."""

    def process(self, logits, rows):
        return logits / 2


@strategy(hold=None)
def by_hand(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def judged(model, prompt, tokens, divisor):
    """Return the log-probability of each token, from the whole history."""
    found = []
    for count, token in enumerate(tokens):
        history = [*prompt, *tokens[:count]]
        logits = model.score(model.make_cache(1), [history], [1]).logits[0] / divisor
        found.append(logits.log_softmax(-1)[token].item())
    return found


@pytest.mark.parametrize("drafter", [None, PromptLookup()], ids=["", "drafted"])
@pytest.mark.parametrize(("column", "divisor"), [("logprobs", 1), ("processed_logprobs", 2)])
def test_logprobs_are_those_of_each_token_where_it_was_taken(
    column, divisor, drafter, run, table_model
):
    model = table_model(order=2, scale=6.0)
    prompts = [[A, B, C] * 8, [B]]
    outcome = run(
        prompts,
        sample,
        model=model,
        chain=[Half()],
        logprobs=0,
        drafter=drafter,
        batch_size=1,
    )

    for place, prompt in enumerate(prompts):
        completion = outcome[place, 0]
        expected = judged(model, prompt, completion.tokens, divisor)
        assert pytest.approx(expected, abs=1e-4) == list(getattr(completion, column))


def test_logprobs_follow_a_fork_and_a_rewind(finish, open_session, table_model):
    session = open_session(["a"], by_hand, logprobs=0, num_return_sequences=2)
    first = session.next_logits().log_softmax(-1)[0]
    session.fork([0, 0])
    session.append([B, C])
    second = session.next_logits().log_softmax(-1)
    session.fork([1, 1])
    session.append([A, B])
    session.next_logits()
    session.append([A, -1])
    session.rewind([1, 0])

    expected = [first[C], second[1, A], first[C], second[1, B]]
    made = [value for delta in finish(session) for value in delta.completion.logprobs]
    assert torch.allclose(torch.stack(expected), torch.tensor(made))


def test_a_token_that_nothing_was_asked_for_has_no_logprob(finish, open_session):
    session = open_session(["a"], by_hand, logprobs=0)
    session.append([B])

    completion = finish(session)[0].completion
    assert math.isnan(completion.logprobs[0])
    assert math.isnan(completion.processed_logprobs[0])
    assert (completion.support, completion.top_logprobs) == ((0,), ((),))


class Few(LogitsProcessor):
    """Leaves the likeliest `few` tokens."""

    few: int = 2

    def process(self, logits, rows):
        worst = logits.topk(self.few).values[:, -1:]
        return logits.masked_fill(logits < worst, -torch.inf)


def ranked(model, history, count):
    """Return the likeliest tokens behind a history."""
    logprobs = model.score(model.make_cache(1), [history], [1]).logits[0].log_softmax(-1)
    values, tokens = logprobs.sort(descending=True)
    return list(zip(tokens[:count].tolist(), values[:count].tolist(), strict=True))


@pytest.mark.parametrize("drafter", [None, PromptLookup()], ids=["", "drafted"])
@pytest.mark.parametrize("stop", [(), ("a", "b")], ids=["", "cut"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_top_logprobs_are_the_likeliest_before_processing(
    drafter, stop, batch_size, run, table_model
):
    model = table_model(order=2, scale=3.0)
    prompts = [[A, B, C] * 8, [B], [C, C]]
    options = {"drafter": drafter, "stop": stop, "batch_size": batch_size}
    outcome = run(prompts, sample, model=model, chain=[Few(few=3)], logprobs=4, **options)

    for place, prompt in enumerate(prompts):
        completion = outcome[place, 0]
        assert len(completion.tokens) == len(completion.top_logprobs) == len(completion.logprobs)
        assert completion.support == (3,) * len(completion.tokens)
        for count, step in enumerate(completion.top_logprobs):
            expected = ranked(model, [*prompt, *completion.tokens[:count]], 4)
            assert [token for token, _ in expected] == [token for token, _ in step]
            assert [pytest.approx(value, abs=1e-4) for _, value in expected] == [v for _, v in step]
    if stop:
        assert any(each.finish_reason == "stop_string" for each in outcome.completions.values())


@pytest.mark.parametrize("count", [0, 2, 99])
def test_beams_have_the_top_logprobs_of_their_own_tokens(count):
    generator = Generator(tiny_gpt2(), tiny_tokenizer())
    result = generator.generate(
        ["Once upon", "the"],
        strategy="beam",
        num_beams=4,
        num_return_sequences=3,
        max_new_tokens=7,
        logprobs=count,
        eos_token_id=None,
    )

    for each in result.completions:
        prompt = generator.tokenizer.encode(["Once upon", "the"][each.prompt_index])
        for at, step in enumerate(each.top_logprobs):
            expected = ranked(generator.model, [*prompt, *each.tokens[:at]], count)
            assert [token for token, _ in expected] == [token for token, _ in step]
        assert each.support == (278,) * len(each.tokens)
        assert sum(each.logprobs) == pytest.approx(each.score * len(each.tokens), abs=1e-4)


def test_tokens_that_cannot_come_are_not_among_the_likeliest(run, table_model):
    model = table_model(bias=dict.fromkeys(range(2, 11), -math.inf))
    outcome = run([[A]], sample, model=model, logprobs=20, max_new_tokens=2)

    assert [{A, B, 11} == {token for token, _ in step} for step in outcome[0, 0].top_logprobs]
    assert all(value > -math.inf for step in outcome[0, 0].top_logprobs for _, value in step)
    assert max(outcome[0, 0].support) <= 3


def test_nothing_is_recorded_unless_it_is_asked_for(run):
    completion = run([[A]], sample, max_new_tokens=2)[0, 0]

    assert completion.logprobs is completion.processed_logprobs is None
    assert completion.support is completion.top_logprobs is None


@pytest.mark.parametrize("stop", [None, ["e"]])
@pytest.mark.parametrize(
    "options",
    [
        {"logprobs": 2},
        {"logprobs": 0, "num_return_sequences": 2},
        {"logprobs": 1, "strategy": "beam", "num_beams": 3},
        {"logprobs": 2, "drafter": "prompt_lookup"},
    ],
    ids=str,
)
def test_deltas_have_the_log_probabilities_of_their_tokens(options, stop):
    gen = Generator(tiny_gpt2(), tiny_tokenizer())
    found = defaultdict(lambda: ([], [], []))
    options = {"seed": 3, "max_new_tokens": 12, "stop": stop or [], **options}
    prompts = ["Once upon a time", "the cat the cat the cat"]
    for delta in gen.stream(prompts, **options):
        tokens, logprobs, top = found[delta.prompt_index, delta.sample_index]
        assert len(delta.tokens) == len(delta.logprobs) == len(delta.top_logprobs)
        tokens += delta.tokens
        logprobs += delta.logprobs
        top += delta.top_logprobs

    for completion in gen.generate(prompts, **options).completions:
        told = found[completion.prompt_index, completion.sample_index]
        assert (list(completion.tokens), list(completion.top_logprobs)) == (told[0], told[2])
        assert list(completion.logprobs) == pytest.approx(told[1], nan_ok=True)


def test_deltas_have_none_where_none_were_asked_for():
    gen = Generator(tiny_gpt2(), tiny_tokenizer())

    deltas = list(gen.stream("Once upon a time", max_new_tokens=5))
    assert {(None, None)} == {(each.logprobs, each.top_logprobs) for each in deltas}
