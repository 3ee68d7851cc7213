"""Checks that copies of a row live lives of their own: after forks, rewinds and under beams."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gpt2sdk.components.component import Component
from gpt2sdk.components.records import Prompt
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.testing.acting import go_back_and_forth, tell_draws
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.situations import END, VOCAB_SIZE, ordinary, step_logits
from gpt2sdk.testing.trial import grow, open_session

_STEPS = 4
_WIDTH = 3


def check_copies_have_memories_of_their_own(component: Component) -> None:
    """Two copies of a row that go on differently are as two rows that never were one.

    They change places and take tokens back on the way, so what is kept for a row in a value that
    copies share, or under its seat or prompt, does not hold.
    """
    forked, apart = _forked(component), _never_one(component)
    for step, (found, expected) in enumerate(zip(forked, apart, strict=True), 1):
        message = "copies that went on differently are not as rows that never were one: step"
        promise(_alike(found, expected), f"{component!r}: {message} {step}")


def check_beams_are_as_if_each_were_read_anew(component: Component) -> None:
    """Under beams each hypothesis fares as one that is written from its prompt, token by token."""
    situation = ordinary()
    prompts = [replace(row.prompt, index=at) for at, row in enumerate(situation.rows[:2])]
    forked = _beams(component, prompts)
    anew = _beams_anew(component, prompts)
    for step, (found, expected) in enumerate(zip(forked, anew, strict=True), 1):
        message = f"under beams, step {step}: a hypothesis fares otherwise than written anew"
        promise(_equal(found, expected), f"{component!r} {message}\n{found}\n{expected}")


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a step told of some rows.

    Attributes:
        logits: What the chain made of them.
        chosen: The token that was chosen for each.
        ended: Why each has ended; `None` while it goes on.
    """

    logits: Tensor
    chosen: Sequence[int]
    ended: Sequence[str | None]


def _alike(one: _Answers, other: _Answers) -> bool:
    """Whether two steps told the same, up to the rounding of the model's hidden states."""
    return (
        torch.allclose(one.logits, other.logits, rtol=1e-4, atol=1e-5, equal_nan=True)
        and one.chosen == other.chosen
        and one.ended == other.ended
    )


def _forked(component: Component) -> list[_Answers]:
    """What copies do that come of one row, go on differently and change places."""
    rows = ordinary().rows
    session = _open(component, [row.prompt for row in rows])
    grow(session, [row.new_tokens for row in rows])
    count = len(rows)
    session.fork([row for row in range(count) for _ in range(2)])
    tell_draws(session)
    told: list[_Answers] = []
    order = list(range(2 * count))
    for step in range(_STEPS):
        told.append(_step(session, step, order))
        go_back_and_forth(session)
        swap = [place + 1 if place % 2 == 0 else place - 1 for place in range(2 * count)]
        session.fork(swap)
        tell_draws(session)
        order = [order[place] for place in swap]
    return told


def _never_one(component: Component) -> list[_Answers]:
    """What the same rows do that had a prompt each from the beginning."""
    rows = ordinary().rows
    session = _open(component, [row.prompt for row in rows for _ in range(2)])
    grow(session, [row.new_tokens for row in rows for _ in range(2)])
    tell_draws(session)
    order = list(range(2 * len(rows)))
    return [_step(session, step, order) for step in range(_STEPS)]


def _step(session: DecodingSession, step: int, order: Sequence[int]) -> _Answers:
    """Let rows process and append what is foreseen for them; return their answers in order.

    Args:
        session: Its rows stand in some order.
        step: Which step it is.
        order: Which row sits at each place.
    """
    logits = step_logits(step, len(order))[list(order)]
    session.next_logits()
    processed = session.process(logits)
    chosen = session.choose(processed)
    planned = [(7 * row + 3 * step + 5) % (VOCAB_SIZE - 1) for row in order]
    session.append(planned)
    places = [order.index(row) for row in range(len(order))]
    reasons = session.rows.finish_reason
    return _Answers(
        processed[places], chosen[places].tolist(), [reasons[place] for place in places]
    )


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """One beam.

    Attributes:
        prompt: Which prompt it continues.
        tokens: What it has appended.
        score: The sum of its log-probabilities.
        ended: Why it ended; `None` while it goes on.
    """

    prompt: int
    tokens: tuple[int, ...] = ()
    score: float = 0.0
    ended: str | None = None


def _beams(component: Component, prompts: Sequence[Prompt]) -> list[list[_Hypothesis]]:
    """Search with one session, whose rows are forked at each step."""
    session = _open(component, prompts)
    beams = [_Hypothesis(number) for number in range(len(prompts))]
    told = []
    for _ in range(_STEPS):
        tell_draws(session)
        logprobs = session.process(session.next_logits().log_softmax(-1))
        parents, beams = _best(beams, logprobs)
        session.fork(parents)
        session.append([-1 if each.ended else each.tokens[-1] for each in beams])
        beams = _ends(beams, session)
        told.append(beams)
    return told


def _beams_anew(component: Component, prompts: Sequence[Prompt]) -> list[list[_Hypothesis]]:
    """Search with a new session at each step, in which every hypothesis is written anew."""
    beams = [_Hypothesis(number) for number in range(len(prompts))]
    told = []
    for _ in range(_STEPS):
        session = _written_anew(component, prompts, beams)
        tell_draws(session)
        logprobs = session.process(session.next_logits().log_softmax(-1))
        _, beams = _best(beams, logprobs)
        beams = _ends(beams, _written_anew(component, prompts, beams))
        told.append(beams)
    return told


def _written_anew(
    component: Component, prompts: Sequence[Prompt], beams: Sequence[_Hypothesis]
) -> DecodingSession:
    """Open a session in which each hypothesis is a row that never was another's copy."""
    session = _open(component, [prompts[each.prompt] for each in beams])
    for step in range(max(len(each.tokens) for each in beams)):
        tell_draws(session)
        session.process(session.next_logits().log_softmax(-1))
        session.append([each.tokens[step] if step < len(each.tokens) else -1 for each in beams])
    return session


def _best(beams: Sequence[_Hypothesis], logprobs: Tensor) -> tuple[list[int], list[_Hypothesis]]:
    """Return each prompt's best continuations, and which beam each comes of."""
    parents: list[int] = []
    best: list[_Hypothesis] = []
    for prompt in sorted({each.prompt for each in beams}):
        found: list[tuple[float, int, _Hypothesis]] = []
        for place, each in enumerate(beams):
            if each.prompt != prompt:
                continue
            if each.ended:
                found.append((each.score, place, each))
                continue
            gained, tokens = logprobs[place].topk(_WIDTH)
            found += [
                (each.score + more, place, replace(each, tokens=(*each.tokens, token)))
                for more, token in zip(gained.tolist(), tokens.tolist(), strict=True)
                if more > -torch.inf
            ]
        found.sort(key=lambda each: (-round(each[0], 4), each[1]))
        parents += [place for _, place, _ in found[:_WIDTH]]
        best += [replace(each, score=score) for score, _, each in found[:_WIDTH]]
    return parents, best


def _ends(beams: Sequence[_Hypothesis], session: DecodingSession) -> list[_Hypothesis]:
    """Note which hypotheses have ended."""
    reasons = session.rows.finish_reason
    return [replace(each, ended=why) for each, why in zip(beams, reasons, strict=True)]


def _equal(one: Sequence[_Hypothesis], other: Sequence[_Hypothesis]) -> bool:
    """Whether two sets of beams are the same, their scores up to rounding."""
    return [replace(each, score=0.0) for each in one] == [
        replace(each, score=0.0) for each in other
    ] and all(abs(a.score - b.score) < 1e-3 for a, b in zip(one, other, strict=True))


def _open(component: Component, prompts: Sequence[Prompt]) -> DecodingSession:
    return open_session(prompts, component, vocab_size=VOCAB_SIZE, eos_token_ids=[END])
