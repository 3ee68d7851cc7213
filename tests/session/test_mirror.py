"""Mirrors: branches with another prompt that follow the rows."""

import pytest
import torch

from gpt2sdk import ContextOverflowError, OptionError, Session, strategy

A, B, C, D, END = 0, 1, 2, 3, 11


@strategy(hold=None)
def by_hand(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def expected_logits(model, *histories):
    cache = model.make_cache(len(histories))
    return model.score(cache, histories, [1] * len(histories)).logits


def test_a_mirror_says_what_would_come_after_its_own_prompt(open_session, table_model):
    session = open_session(["abc", "d"], by_hand)
    mirror = session.mirror(lambda prompt: (D, prompt.tokens[0]))
    session.append([C, B])

    expected = expected_logits(table_model(), [D, A, C], [D, D, B])
    assert torch.equal(expected, mirror.next_logits(session.rows))


def test_a_mirror_forks_and_rewinds_with_the_rows(open_session, table_model):
    session = open_session(["a", "b"], by_hand)
    mirror = session.mirror(lambda prompt: (D,))
    mirror.next_logits(session.rows)
    session.append([A, B])
    session.fork([1, 0, 1])
    session.append([C, C, D])
    mirror.next_logits(session.rows)
    session.rewind([2, 0, 1])

    expected = expected_logits(table_model(), [D], [D, A, C], [D, B])
    assert torch.equal(expected, mirror.next_logits(session.rows))


def test_a_mirror_may_be_another_model(open_session, table_model):
    other = table_model(seed=1)
    session = open_session(["a"], by_hand)
    mirror = session.mirror(lambda prompt: prompt.tokens, other)

    assert torch.equal(expected_logits(other, [A]), mirror.next_logits(session.rows))
    assert not torch.equal(session.next_logits(), mirror.next_logits(session.rows))


def test_a_mirror_asked_now_and_then_catches_up_in_one_call(open_session, table_model):
    other = table_model(seed=1)
    session = open_session(["a"], by_hand)
    mirror = session.mirror(lambda prompt: prompt.tokens, other)
    mirror.next_logits(session.rows)
    for token in (B, C, D):
        session.append([token])
    mirror.next_logits(session.rows)

    assert (2, 4) == (other.calls, other.tokens_fed)


def test_a_mirror_needs_the_same_vocabulary(open_session, table_model):
    from gpt2sdk.testing import TableModel

    session = open_session(["a"], by_hand)
    with pytest.raises(OptionError, match="the mirror's model has 13 tokens, expected 12"):
        session.mirror(lambda prompt: prompt.tokens, TableModel(13))


def test_a_mirrors_prompt_must_leave_room_for_the_rows_to_grow(open_session, table_model):
    session = open_session(["a"], by_hand, model=table_model(context_length=31))
    with pytest.raises(ContextOverflowError):
        session.mirror(lambda prompt: (A,) * 10)


def test_a_mirror_scores_its_rows_proposals_along(run, table_model):
    from gpt2sdk_drafters.prompt_lookup import PromptLookup
    from gpt2sdk_sampling.guidance_scale import GuidanceScale

    calls = []
    for drafter in (None, PromptLookup()):
        outcome = run(
            [[A, B, C] * 9],
            model=table_model(order=2, scale=9.0),
            chain=[GuidanceScale(guidance_scale=1.2)],
            eos_token_ids=frozenset(),
            max_new_tokens=90,
            drafter=drafter,
        )
        calls.append(outcome.usage.model_calls)

    assert 90 == calls[0]  # the mirror is read in the same passes
    assert 1.7 * calls[1] < calls[0]


def test_mirrors_of_prompts_that_wait_follow_no_rows_yet(run):
    from gpt2sdk_sampling.guidance_scale import GuidanceScale

    following = []

    @strategy(rows_independent=True)
    def counting(session: Session):
        while session.running:
            following.append(len(session.course.followers.branches))
            yield session.append(session.choose(session.process(session.next_logits())))

    chain = [[GuidanceScale(guidance_scale=1.2, negative_prompt=(at,)) for at in range(9)]]
    outcome = run(["a"] * 9, counting, chain=chain, batch_size=2, max_new_tokens=4)

    assert all(each.tokens for each in outcome.completions.values())
    assert 3 == max(following)
