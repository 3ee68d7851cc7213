"""Backtracking: a banned phrase is taken back once it stands there, and not written again."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated

import torch
from pydantic import Field

from gpt2sdk import Logits, OneOrMore, OptionError, Session, Step, strategy
from gpt2sdk_strategies.phrases import Phrases
from gpt2sdk_strategies.trail import Trail

BannedPhrases = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    OneOrMore,
    Field(description="Texts that are not written, however they are cut into tokens."),
]
IgnoreCase = Annotated[bool, Field(description="Ban capital and small letters alike.")]


def _held(banned_phrases: Sequence[str], *, ignore_case: bool) -> int:
    return Phrases.of(banned_phrases, ignore_case=ignore_case).tokens


@strategy(rows_independent=True, hold=_held)
def backtrack(
    session: Session, *, banned_phrases: BannedPhrases = (), ignore_case: IgnoreCase = False
) -> Iterator[Step]:
    """Draw token after token; when a banned phrase stands there, go back and take another way.

    The row is rewound to before the phrase's first token, and that token is ruled out there.
    Others that lead to a phrase are ruled out in their turn; where nothing is left, the token
    before goes too. This is a depth-first search, so it comes to an end. What is ruled out is so
    before all processors: a truncation still keeps as many tokens as it is told to. A phrase may
    begin and end inside tokens; what the prompt says does not count.

    A phrase of `n` bytes spans at most `n` tokens. Text waits until as many more are there, so
    streaming shows nothing that is taken back, and rows go back no further. A phrase that began
    before, since behind its beginning another one was taken back, is broken off in its middle.

    A phrase that is a special token is that token, and its spelling; it is ruled out everywhere.

    Raises:
        OptionError: A row can go neither on nor back, or a phrase has a special token among text.
    """
    phrases = Phrases.of(banned_phrases, ignore_case=ignore_case)
    never = _special_tokens(banned_phrases, session)
    # All versions of a row's value are one object: taking tokens back doesn't lift their bans.
    trails = session.per_row(lambda prompt: Trail(phrases), lambda trail, token, logits: trail)
    while session.running:
        logits = session.next_logits()
        here = trails[session.rows]
        banned = [trail.banned_next | never for trail in here]
        tokens, stuck = _choose(session, logits, banned)
        if any(stuck):
            backs = [
                trail.give_up() if over else 0 for trail, over in zip(here, stuck, strict=True)
            ]
            session.rewind(backs)
            continue
        step = session.append(tokens)
        texts = session.texts()
        backs = [
            trail.follow(token, text) if token >= 0 else 0
            for trail, token, text in zip(here, step.tokens, texts, strict=True)
        ]
        if any(backs):
            session.rewind(backs)
        yield step


def _special_tokens(phrases: Sequence[str], session: Session) -> frozenset[int]:
    """Return the tokens that phrases name, which have no text to be found in."""
    special = session.vocabulary.special_tokens
    for phrase in phrases:
        inside = [text for text in special if text in phrase]
        if inside and phrase not in special:
            raise OptionError(
                f"banned_phrases has {phrase!r}, where {inside[0]!r} is a token without text: "
                "expected it alone, or the phrase in bad_words",
                name="banned_phrases",
                value=phrase,
                expected="text, or a special token",
            )
    return frozenset(special[phrase] for phrase in phrases if phrase in special)


def rule_out(logits: Logits, banned: Sequence[AbstractSet[int]]) -> Logits:
    """Return the logits with each row's banned tokens at -inf.

    >>> rule_out(torch.zeros(2, 3), [{0, 2}, set()])
    tensor([[-inf, 0., -inf],
            [0., 0., 0.]])
    """
    places = [(row, token) for row, tokens in enumerate(banned) for token in sorted(tokens)]
    if not places:
        return logits
    rows, tokens = torch.tensor(places, device=logits.device).unbind(1)
    return logits.index_put((rows, tokens), logits.new_tensor(-torch.inf))


def _choose(
    session: Session, logits: Logits, banned: Sequence[AbstractSet[int]]
) -> tuple[Sequence[int], Sequence[bool]]:
    """Choose a token for each row, or say which rows have none to choose."""
    stuck = [len(out) == logits.shape[1] for out in banned]
    if any(stuck):
        return [], stuck
    tokens = session.choose(session.process(rule_out(logits, banned))).tolist()
    failures = [row.failure for row in session.rows.records]
    dead = [failure is not None and failure.dead for failure in failures]
    # A processor may insist on a token that was ruled out, or leave nothing of what was not.
    stuck = [
        token in out or (over and bool(out))
        for token, out, over in zip(tokens, banned, dead, strict=True)
    ]
    return tokens, stuck
