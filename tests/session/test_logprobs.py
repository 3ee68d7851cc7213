"""Log-probabilities of what was appended: the model's own, or after the processors."""

import math

import pytest
import torch

from gpt2sdk import LogitsProcessor, Session, sample, strategy
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
@pytest.mark.parametrize(("logprobs", "divisor"), [(True, 1), ("processed", 2)])
def test_logprobs_are_those_of_each_token_where_it_was_taken(
    logprobs, divisor, drafter, run, table_model
):
    model = table_model(order=2, scale=6.0)
    prompts = [[A, B, C] * 8, [B]]
    outcome = run(
        prompts,
        sample,
        model=model,
        chain=[Half()],
        logprobs=logprobs,
        drafter=drafter,
        batch_size=1,
    )

    for place, prompt in enumerate(prompts):
        completion = outcome[place, 0]
        expected = judged(model, prompt, completion.tokens, divisor)
        assert pytest.approx(expected, abs=1e-4) == list(completion.logprobs)


def test_logprobs_follow_a_fork_and_a_rewind(finish, open_session, table_model):
    session = open_session(["a"], by_hand, logprobs=True, num_return_sequences=2)
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
    session = open_session(["a"], by_hand, logprobs=True)
    session.append([B])

    assert math.isnan(finish(session)[0].completion.logprobs[0])
