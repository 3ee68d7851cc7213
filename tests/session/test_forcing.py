"""Tokens that come next whatever the model says: fed in one pass, and nothing else is different."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from gpt2sdk import LogitsProcessor, PerRow, each, sample, strategy
from gpt2sdk_drafters.prompt_lookup import PromptLookup

A, B, C, D, E, END = 0, 1, 2, 3, 4, 11


class Chorus(LogitsProcessor):
    """Sings a chorus whenever one of its cues was written, and says so in advance.

    What is left of it is memory, so that forks and rewinds can lose it.
    """

    forces: ClassVar[bool] = True

    chorus: tuple[int, ...] = ()
    cues: tuple[int, ...] = (A,)

    def start(self, session):
        run = ChorusRun(None)
        first = {True: self.chorus, False: ()}
        left = session.per_row(
            lambda prompt: first[prompt.tokens[-1] in self.cues],
            lambda left, token, _: left[1:] if left else first[token in self.cues],
        )
        return replace(run, left=left)


@dataclass(frozen=True)
class ChorusRun:
    """What is left of the chorus in each row."""

    left: PerRow[tuple[int, ...]] | None

    def forced(self, rows):
        return self.left[rows]

    def process(self, logits, rows):
        alone = torch.full_like(logits, -torch.inf)
        for row, left in enumerate(self.left[rows]):
            if left and logits[row, left[0]] > -torch.inf:
                alone[row, left[0]] = logits[row, left[0]]
            else:
                alone[row] = logits[row]
        return alone


@strategy(hold=None)
def by_hand(session):
    """Leave the verbs to the test."""
    yield from ()


class SlowChorus(Chorus):
    """The same, one token after the other."""

    forces: ClassVar[bool] = False


SONG = (B, C, D, E)


def both(run, prompts, *args, chorus=SONG, cues=(A,), chain=(), **options):
    """Run a call whose forced tokens are fed together, and one whose tokens are fed singly."""
    return [
        run(prompts, *args, chain=[*chain, kind(chorus=chorus, cues=cues)], **options)
        for kind in (Chorus, SlowChorus)
    ]


def spent(outcome):
    """Return what a call cost: model calls, tokens fed, tokens scored ahead, those that stood."""
    usage = outcome.usage
    return usage.model_calls, usage.tokens_fed, usage.drafted, usage.accepted


def test_a_forced_run_is_one_pass_of_the_model(run, table_model):
    model = table_model(bias={END: -100.0, A: -100.0})
    fast, slow = both(run, ["a"], model=model, max_new_tokens=6)

    assert fast[0, 0].tokens[:4] == SONG
    assert fast.essence == slow.essence
    # The prompt and the chorus in one pass, then a pass for each of the last tokens but one.
    assert (2, 1 + 4 + 1, 4, 4) == spent(fast)
    assert (6, 6, 0, 0) == spent(slow)


@pytest.mark.parametrize("limit", range(1, 8))
def test_a_limit_in_the_middle_of_a_forced_run_feeds_nothing_in_vain(limit, run, table_model):
    model = table_model(bias={END: -100.0, A: -100.0})
    fast, slow = both(run, ["a"], model=model, max_new_tokens=limit)

    assert (SONG + fast[0, 0].tokens[4:])[:limit] == fast[0, 0].tokens
    assert fast.essence == slow.essence
    assert "length" == fast[0, 0].finish_reason
    ahead = min(4, limit - 1)
    assert (1 + max(0, limit - 5), limit, ahead, ahead) == spent(fast)


def test_a_window_in_the_middle_of_a_forced_run_ends_it(run, table_model):
    model = table_model(bias={END: -100.0, A: -100.0}, context_length=4)
    fast, slow = both(run, ["bca"], model=model, max_new_tokens=2)

    assert SONG[:2] == fast[0, 0].tokens
    assert fast.essence == slow.essence
    assert (1, 4, 1, 1) == spent(fast)


def test_a_window_that_slides_in_the_middle_of_a_forced_run(run, table_model):
    model = table_model(bias={END: -100.0}, context_length=6)
    fast, slow = both(run, ["bca"], model=model, max_new_tokens=20, overflow="slide")

    assert fast.essence == slow.essence
    assert fast.usage.model_calls < slow.usage.model_calls


@pytest.mark.parametrize("stop", [("bc",), ("d",), ("cde",), ("eb", "bcd")])
def test_a_stop_string_in_the_middle_of_a_forced_run_ends_it(stop, run, table_model):
    prompts = ["a", "b", "ca", "dd"]
    fast, slow = both(run, prompts, stop=stop, model=table_model(bias={END: -100.0}))

    assert fast.essence == slow.essence
    assert {"stop_string"} <= {each.finish_reason for each in fast.completions.values()}
    assert fast.usage.model_calls <= slow.usage.model_calls


def test_an_end_token_in_the_middle_of_a_forced_run_ends_it(run, table_model):
    fast, slow = both(run, ["a"], chorus=(B, END, C), model=table_model())

    assert ((B, END), "end_token") == (fast[0, 0].tokens, fast[0, 0].finish_reason)
    assert fast.essence == slow.essence


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("samples", [1, 3])
def test_rows_that_are_forced_and_rows_that_are_not_go_on_together(
    batch_size, samples, run, table_model
):
    prompts = ["a", "b", "cda", "d", "ea", "bb", "a"]
    options = {"batch_size": batch_size, "num_return_sequences": samples, "model": table_model()}
    fast, slow = both(run, prompts, cues=(A, D), **options)

    assert fast.essence == slow.essence
    assert fast.usage.model_calls < slow.usage.model_calls
    assert fast.usage.drafted == fast.usage.accepted > 0
    for place, prompt in enumerate(prompts):
        alone = run(
            [prompt], chain=[Chorus(chorus=SONG, cues=(A, D))], seeds=[place], model=table_model()
        )
        assert alone[0, 0].tokens == fast[place, 0].tokens


def test_what_acts_on_one_prompt_forces_no_other(run, table_model):
    chorus, other = Chorus(chorus=SONG), Chorus(chorus=(E, E, E))
    outcome = run(["a", "a", "a"], chain=[[chorus, None, other]], model=table_model())
    free = run(["a"], seeds=[1], model=table_model())

    assert (SONG, (E, E, E)) == (outcome[0, 0].tokens[:4], outcome[2, 0].tokens[:3])
    assert free[0, 0].tokens == outcome[1, 0].tokens


@pytest.mark.parametrize("processed", [False, True], ids=["own", "processed"])
def test_logprobs_of_forced_tokens_are_the_models_and_certain_once_processed(
    processed, run, table_model
):
    model = table_model(bias={END: -100.0})
    fast, slow = both(run, ["a", "b", "da"], model=model, logprobs=3, max_new_tokens=9)

    for place, completion in fast.completions.items():
        other = slow[place]
        column = "processed_logprobs" if processed else "logprobs"
        assert pytest.approx(getattr(other, column), abs=1e-5) == getattr(completion, column)
        assert other.support == completion.support
        assert [[token for token, _ in step] for step in other.top_logprobs] == [
            [token for token, _ in step] for step in completion.top_logprobs
        ]
    scores = model.score(model.make_cache(1), [[A, B, C, D]], [4]).logits.log_softmax(-1)
    expected = scores[range(4), list(SONG)].tolist()
    assert pytest.approx(expected, abs=1e-5) == list(fast[0, 0].logprobs[:4])
    assert (0.0,) * 4 == fast[0, 0].processed_logprobs[:4]
    assert (1,) * 4 == fast[0, 0].support[:4]


def test_what_another_processor_rules_out_is_not_forced(run, table_model):
    class Ban(LogitsProcessor):
        ban: int = -1
        rank: ClassVar[int] = -5

        def process(self, logits, rows):
            return logits.index_fill(1, torch.tensor([self.ban]), -torch.inf)

    fast, slow = both(
        run, ["a"], chain=[Ban(ban=C)], model=table_model(bias={END: -100.0}), max_new_tokens=12
    )

    assert fast.essence == slow.essence
    assert C not in fast[0, 0].tokens
    assert fast.usage.accepted < fast.usage.drafted


def test_a_draft_gives_way_to_what_is_forced_and_pays_nothing_for_it(run, table_model):
    prompts = ["bcde" * 4, "a", "dada" * 3]
    model = table_model(order=2, scale=6.0, bias={END: -100.0})
    options = {"model": model, "max_new_tokens": 40, "cues": (A, E)}
    drafted, undrafted = (
        both(run, prompts, drafter=drafter, **options) for drafter in (PromptLookup(), None)
    )

    assert drafted[0].essence == drafted[1].essence == undrafted[0].essence == undrafted[1].essence
    assert drafted[0].usage.model_calls <= undrafted[0].usage.model_calls
    assert undrafted[0].usage.model_calls < undrafted[1].usage.model_calls


def test_a_row_that_goes_back_into_a_forced_run_is_forced_again(open_session, table_model):
    session = open_session(
        ["ba"], by_hand, chain=[Chorus(chorus=SONG)], model=table_model(), max_new_tokens=30
    )
    calls = session.model.calls

    def write(count):
        made = []
        for _ in range(count):
            logits = session.process(session.next_logits())
            made.append(logits.argmax(-1).tolist()[0])
            session.append(made[-1:])
        return made

    assert list(SONG[:3]) == write(3)
    session.rewind([2])
    assert list(SONG[1:]) == write(3)
    # The tokens of before stay in the cache; what they were scored as was dropped with the rewind.
    assert calls + 2 == session.model.calls


def test_copies_of_a_row_are_forced_each_by_itself(open_session, table_model):
    session = open_session(
        ["b"],
        by_hand,
        chain=[Chorus(chorus=SONG)],
        model=table_model(),
        num_return_sequences=3,
        max_new_tokens=30,
    )
    session.next_logits()
    session.fork([0, 0, 0])
    session.append([A, E, A])
    session.process(session.next_logits())
    session.append([B, B, B])
    session.fork([0, 1, 1])
    found = session.process(session.next_logits())

    assert [[C], list(range(12)), list(range(12))] == [
        row.isfinite().nonzero().flatten().tolist() for row in found
    ]


def test_each_copy_counts_what_was_scored_ahead_for_it(open_session, table_model):
    session = open_session(
        ["a"],
        by_hand,
        chain=[Chorus(chorus=SONG)],
        model=table_model(),
        num_return_sequences=3,
        max_new_tokens=30,
    )
    session.next_logits()
    session.fork([0, 0, 0])
    for token in SONG:
        session.next_logits()
        session.append([token] * 3)
    usage = next(iter(session.course.requests)).meter.usage()

    assert (12, 12) == (usage.drafted, usage.accepted)


CALLS = {
    "beam": {"strategy": "beam", "num_beams": 3, "num_return_sequences": 2},
    "diverse beam": {"strategy": "diverse_beam", "num_beams": 4, "num_beam_groups": 2},
    "beam with a drafter": {"strategy": "beam", "num_beams": 3, "drafter": "prompt_lookup"},
    "backtrack": {"strategy": "backtrack", "banned_phrases": ["cd", "ee"]},
    "best of": {"strategy": "best_of_n", "best_of": 3},
    "guided": {"guidance_scale": 1.4, "negative_prompt": "ba"},
    "a limit each": {"max_new_tokens": each([1, 2, 3, 4, 5, 9, 13, 30])},
    "mirostat": {"sampler": "mirostat", "mirostat_tau": 1.0},
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("model", ["loops", "gpt2"])
def test_forcing_changes_nothing_but_the_cost(model, case, generators):
    generator, prompts = generators[model]
    options = {"max_new_tokens": 24, "seed": list(range(8)), "logprobs": 0, **CALLS[case]}
    cues = tuple(range(0, generator.model.vocab_size, 5))
    fast, slow = (
        generator.generate(
            prompts[:8], processors=[kind(chorus=(3, 4, 6, 7, 8), cues=cues)], **options
        )
        for kind in (Chorus, SlowChorus)
    )

    for one, other in zip(fast.completions, slow.completions, strict=True):
        assert (other.tokens, other.text) == (one.tokens, one.text)
        assert other.finish_reason == one.finish_reason
        assert pytest.approx(other.logprobs, abs=1e-4) == one.logprobs
        assert pytest.approx(other.score or 0.0, abs=1e-4) == (one.score or 0.0)
    assert fast.usage.model_calls <= slow.usage.model_calls
    assert fast.usage.accepted <= fast.usage.drafted


@pytest.mark.parametrize("strategy", ["beam", "best_of_n", "smc"])
def test_rows_that_advance_together_feed_nothing_in_vain(strategy, generators):
    """What is forced on some beams spares no pass, and what is forced on all spares its own."""
    generator, prompts = generators["table"]
    width = {"beam": "num_beams", "best_of_n": "best_of", "smc": "num_particles"}[strategy]
    options = {"strategy": strategy, width: 4, "seed": 1, "max_new_tokens": 24}
    some, none = (
        generator.generate(prompts[:2], processors=[kind(chorus=SONG, cues=(A, D))], **options)
        for kind in (Chorus, SlowChorus)
    )
    every, each_by_itself = (
        generator.generate(
            prompts[:2], processors=[kind(chorus=SONG, cues=tuple(range(12)))], **options
        )
        for kind in (Chorus, SlowChorus)
    )

    assert none.texts == some.texts
    assert none.usage.model_calls >= some.usage.model_calls
    assert none.usage.tokens_fed >= some.usage.tokens_fed
    assert each_by_itself.texts == every.texts
    assert each_by_itself.usage.tokens_fed >= every.usage.tokens_fed
    assert each_by_itself.usage.model_calls > 3 * every.usage.model_calls


def test_forced_tokens_are_streamed_one_by_one_as_others_are(run, table_model):
    fast, slow = both(
        run, ["a"], sample, model=table_model(bias={END: -100.0}), streaming=True, max_new_tokens=9
    )

    assert [each.tokens for each in slow.deltas] == [each.tokens for each in fast.deltas]


def test_a_forced_text_is_not_a_drafters_luck(run, table_model):
    """A row that was only forced has the credit and the hope it began with."""
    seen = []

    class Watch(PromptLookup):
        def start(self, session):
            inner = super().start(session)
            branch = session.course.main

            class Run:
                def propose(self, rows, k):
                    seen.extend((row.hope, row.credit) for row in branch.rows)
                    return inner.propose(rows, k)

            return Run()

    run(
        ["a"],
        chain=[Chorus(chorus=SONG * 5)],
        stop=("bcde" * 5,),
        drafter=Watch(),
        model=table_model(),
    )

    assert all(hope <= 0.5 and credit <= 1 for hope, credit in seen)
