"""Every check of the conformance kit has a component here that breaks its promise."""

import random
from typing import Annotated

import pytest
import torch
from pydantic import ConfigDict, Field

from gpt2sdk import (
    Detection,
    Detector,
    Drafter,
    GenerationError,
    LogitsProcessor,
    Sampler,
    StoppingCriterion,
    TextCriterion,
    TextEnd,
    strategy,
)
from gpt2sdk.testing import conformance
from gpt2sdk.testing.conformance import check_title
from gpt2sdk.testing.remedies import REMEDIES

CALLS = []
ODD = torch.arange(29) % 2


class Switched(LogitsProcessor):
    """Does what its switch does not say."""

    on: Annotated[float, Field(ge=0.0, description="A number; 0 is off.")] = 0.0

    def process(self, logits, rows):
        return logits / 2


class Undocumented(Switched):
    on: float = 0.0


class Mutable(Switched):
    model_config = ConfigDict(frozen=False)


class Forgetful(Switched):
    def model_dump_json(self, **how):
        return '{"on": 1.0}'


class Lenient(Switched):
    model_config = ConfigDict(extra="ignore")


class Marked(TextCriterion):
    """Ends a text before its mark."""

    mark: Annotated[str, Field(description="A text; empty is off.")] = ""

    def search(self, text, start):
        return TextEnd(None)


class AlwaysEnds(StoppingCriterion):
    """Ends rows though it is off."""

    at: Annotated[int, Field(description="Tokens; 0 is off.")] = 0

    def check(self, rows):
        return rows.lengths > 0


def that(role, method, do, component=None, **options):
    """Return a component whose method does this."""
    members = {"__module__": __name__, "__doc__": "Breaks a promise."}
    members[method] = lambda self, *given: do(*given)
    base = component or role
    return type(base)("Broken", (base,), members)(**options)


def processor(do):
    """Return a processor that does this to logits and rows."""
    return that(LogitsProcessor, "process", do)


def remembering(begin):
    """Return a processor whose run is made of a session."""

    class Run:
        def __init__(self, process):
            self.process = process

    return that(LogitsProcessor, "start", lambda session: Run(begin(session)))


def of_steps(session):
    """Take from odd tokens how often it was asked."""
    asked = []

    def process(logits, rows):
        asked.append(1)
        return logits - len(asked) * ODD

    return process


def of_a_shared_list(session):
    """Keep a list that copies share, for want of `copy=`."""

    def accept(said, token, logits):
        said.append(token)
        return said

    said = session.per_row(lambda prompt: [], accept)
    return lambda logits, rows: logits - torch.tensor(list(map(sum, said[rows])))[:, None] * ODD


def of_seats(session):
    """Remember under a row's seat what it saw there last."""
    seen = {}

    def process(logits, rows):
        before = torch.tensor([seen.get(seat, 0.0) for seat in rows.index])
        seen.update(zip(rows.index, (tokens[-1] for tokens in rows.histories()), strict=True))
        return logits - before[:, None] * ODD

    return process


def with_calls(logits, rows):
    """Pick by how often it was asked."""
    CALLS.append(1)
    return logits.topk(5).indices[:, len(CALLS) % 5]


def by_sums(logits, rows):
    """Add up probabilities until they exceed a number."""
    reached = logits.double().softmax(-1).cumsum(-1)
    drawn = rows.uniform()[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, drawn, right=True)[:, 0].clamp(max=logits.shape[1] - 1)


class FirstSearched:
    """Ends a text where some later search began."""

    asked = 0

    def find(self, written):
        self.asked += 1
        return TextEnd(written.start if self.asked > 9 else None)


def meddle(rows, k):
    """Change rows while proposing."""
    for record in rows.records:
        if record.grown > 3:
            record.tokens[-1] = 5
    return torch.full((len(rows), k), 5)


def steps(choose, *, fork=None, free=False, **declared):
    """Return a strategy that picks tokens like this."""

    def broken(session):
        """Break a promise."""
        if fork is not None:
            session.fork(range(len(session.rows))[fork])
        while session.running:
            tokens = choose(session, session.next_logits())
            step = session.append(tokens)
            if free:  # an end token ends no row
                for record in session.rows.records:
                    record.finish_reason = None if record.grown < 9 else record.finish_reason
            yield step

    return strategy(**declared)(broken).component()


def usual(session, logits):
    """Pick as a strategy should."""
    return session.choose(session.process(logits))


def first_of_its_prompt(session, logits):
    """Let a prompt's rows all say the largest token."""
    tokens = usual(session, logits)
    for _, rows in session.rows.by_prompt():
        tokens[list(rows.index)] = tokens[list(rows.index)].amax()
    return tokens


def detection(count, total, log_p):
    """Return a detection."""
    return Detection(log_p, 1.0, 0.5, 0.5, count, total)


def detector(detect):
    """Return a detector that does this to tokens."""
    return that(Detector, "detect", lambda tokens, start=0: detect(tokens, start))


BROKEN = {
    "name_and_documentation": Undocumented(on=1.0),
    "value": Mutable(on=1.0),
    "json": Forgetful(on=2.0),
    "wrong_values_are_refused": Lenient(on=1.0),
    "logits_come_out": processor(lambda logits, rows: logits[:, :-1]),
    "nothing_is_nan": processor(lambda logits, rows: logits - logits),
    "tokens_ruled_out_stay_out": processor(lambda logits, rows: logits.clamp(min=-9.0)),
    "a_token_is_left": processor(lambda logits, rows: logits - torch.inf),
    "a_row_without_tokens_stays_so": processor(
        lambda logits, rows: logits - logits.amax(-1, keepdim=True)
    ),
    "the_neutral_value_changes_nothing": Switched(on=1.0),
    "logits_are_not_changed_in_place": processor(lambda logits, rows: logits.sub_(1.0)),
    "a_row_alone_is_as_in_a_batch": processor(lambda logits, rows: logits - len(rows)),
    "rows_may_stand_in_any_order": processor(
        lambda logits, rows: logits - torch.arange(len(rows))[:, None]
    ),
    "padding_is_ignored": processor(
        lambda logits, rows: logits - (rows.tokens == 20).sum(-1, keepdim=True)
    ),
    "the_same_again": processor(lambda logits, rows: logits + random.random()),  # noqa: S311
    "global_random_numbers_are_left_alone": processor(
        lambda logits, rows: logits + 0 * torch.rand(())
    ),
    "nothing_waits_for_the_device": processor(
        lambda logits, rows: logits if logits.amax().item() else logits + 0.0
    ),
    "memory_follows_the_rows": remembering(of_steps),
    "copies_have_memories_of_their_own": remembering(of_a_shared_list),
    "beams_are_as_if_each_were_read_anew": remembering(of_seats),
    "a_prompt_alone_is_as_among_others": that(Sampler, "choose", with_calls),
    "drafts_change_nothing": that(
        TextCriterion, "start", lambda session: FirstSearched(), Marked, mark="."
    ),
    "tokens_come_out": that(Sampler, "choose", lambda logits, rows: logits.argmax(-1) + 29),
    "noise_seldom_changes_the_token": that(Sampler, "choose", by_sums),
    "a_mask_comes_out": that(StoppingCriterion, "check", lambda rows: rows.lengths),
    "the_neutral_value_ends_nothing": AlwaysEnds(at=3),
    "ends_are_inside_the_text": that(
        TextCriterion, "search", lambda text, start: TextEnd(None, len(text) + 1), Marked, mark="."
    ),
    "text_ends_alike_however_it_is_cut": that(
        TextCriterion, "search", lambda text, start: TextEnd(start or None), Marked, mark="."
    ),
    "nothing_leaks": that(
        TextCriterion,
        "search",
        lambda text, start: TextEnd(text.find("ab") if "ab" in text else None),
        Marked,
        mark="ab",
    ),
    "the_neutral_value_ends_no_text": that(
        TextCriterion, "search", lambda text, start: TextEnd(None, len(text[start:])), Marked
    ),
    "proposals_come_out": that(Drafter, "propose", lambda rows, k: torch.zeros(len(rows), 1)),
    "proposals_change_nothing": that(Drafter, "propose", meddle),
    "it_comes_to_an_end": steps(usual, fork=slice(-1), hold=None),
    "several_completions_are_given": steps(usual, hold=None),
    "streams_are_what_is_generated": steps(
        lambda session, logits: with_calls(logits, session.rows), rows_independent=True
    ),
    "processors_are_minded": steps(
        lambda session, logits: session.choose(logits), rows_independent=True
    ),
    "end_tokens_end": steps(usual, free=True, hold=None),
    "equal_seeds_give_equal_texts": steps(
        lambda session, logits: torch.multinomial(logits.softmax(-1), 1)[:, 0],
        rows_independent=True,
    ),
    "what_draws_says_so": steps(
        lambda session, logits: session.race(logits, "secret"), rows_independent=True, draws=False
    ),
    "independent_rows_are": steps(first_of_its_prompt, rows_independent=True),
    "detections_come_out": detector(lambda tokens, start: detection(0, len(tokens), -5.0)),
    "texts_without_a_mark_are_seldom_found": detector(
        lambda tokens, start: detection(len(tokens) - start, len(tokens) - start, -5.0)
    ),
    "what_stood_before_is_not_judged": detector(
        lambda tokens, start: detection(len(tokens), len(tokens), 0.0)
    ),
    "the_same_detection_again": detector(
        lambda tokens, start: detection(9, 9, -0.5 * isinstance(tokens, tuple))
    ),
}
CHECKS = {
    check_title(check): check
    for checks in (*conformance._CHECKS.values(), conformance._VALUE)  # noqa: SLF001
    for check in checks
}


def test_every_check_is_among_them():
    assert CHECKS.keys() == BROKEN.keys()


def test_every_check_says_what_to_do():
    assert CHECKS.keys() == REMEDIES.keys()


@pytest.mark.parametrize("title", BROKEN)
def test_a_check_finds_a_component_that_breaks_its_promise(title):
    # A prompt without its completions is an error before anything can be judged.
    lost = ("it_comes_to_an_end", "several_completions_are_given")
    kind = GenerationError if title in lost else AssertionError

    with pytest.raises(kind):
        CHECKS[title](BROKEN[title])
