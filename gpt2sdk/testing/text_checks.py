"""Checks of text criteria: the same text ends alike however it is cut, and nothing leaks."""

import random
from collections.abc import Iterator, Sequence
from typing import cast

from gpt2sdk.components.component import neutral
from gpt2sdk.components.stopping import TextCriterion, TextEnd
from gpt2sdk.testing.letters import ALPHABET
from gpt2sdk.testing.promise import promise

_TEXTS = 60
_LENGTH = 40


def check_ends_are_inside_the_text(criterion: TextCriterion) -> None:
    """Where a text ends, and how much of it waits, lies in the part that was not certain yet."""
    promise(criterion.reason, f"{criterion!r} has no reason")
    for text in _texts(criterion):
        for start in (0, len(text) // 2, len(text)):
            end, hold = _search(criterion, text, start)
            inside = end is None or start <= end <= len(text)
            promise(inside, f"{criterion!r} ends {text!r} at {end}, searched from {start}")
            held = 0 <= hold <= len(text) - start
            promise(held, f"{criterion!r} holds {hold} of {text!r}, searched from {start}")


def check_text_ends_alike_however_it_is_cut(criterion: TextCriterion) -> None:
    """Character by character, in pieces or at once, a text ends at the same place."""
    for number, text in enumerate(_texts(criterion)):
        expected, _ = _fed(criterion, text)
        for pieces in (_cut(text, number), [text]):
            found, _ = _fed(criterion, pieces)
            differ = f"{criterion!r} ends {text!r} at {expected}, but at {found} cut into {pieces}"
            promise(found == expected, differ)


def check_nothing_leaks(criterion: TextCriterion) -> None:
    """No character behind the end was certain before the end was found."""
    for number, text in enumerate(_texts(criterion)):
        for pieces in (list(text), _cut(text, number)):
            end, shown = _fed(criterion, pieces)
            leak = f"{criterion!r} showed {text[:shown]!r} of a text that ends at {end}: {pieces}"
            promise(end is None or shown <= end, leak)


def check_the_neutral_value_ends_no_text(criterion: TextCriterion) -> None:
    """With the switch at its default no text ends and none waits."""
    switch = criterion.switch()
    if switch is None:
        return
    off = type(criterion)(**{switch: neutral(type(criterion).model_fields[switch])})
    for text in _texts(criterion):
        promise(tuple(off.search(text, 0)) == (None, 0), f"{off!r} ends or holds {text!r}")


def _search(criterion: TextCriterion, text: str, start: int) -> TextEnd:
    """Let a criterion look for an end, and make sure that it answers that."""
    found: object = criterion.search(text, start)
    otherwise = f"{criterion!r} returns {found!r:.60}: expected TextEnd(end, hold)"
    promise(isinstance(found, TextEnd), otherwise)
    return cast("TextEnd", found)


def _fed(criterion: TextCriterion, pieces: Sequence[str]) -> tuple[int | None, int]:
    """Feed a text as a session does: where it ends, and how much was certain before that."""
    text, certain = "", 0
    for piece in pieces:
        text += piece
        end, hold = _search(criterion, text, certain)
        if end is not None:
            return end, certain
        certain = len(text) - hold
    return None, certain


def _cut(text: str, seed: int) -> list[str]:
    """Cut a text into pieces of one to five characters."""
    generator = random.Random(seed)  # noqa: S311 - tests, not secrets
    pieces = []
    while text:
        size = generator.randint(1, 5)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def _texts(criterion: TextCriterion) -> Iterator[str]:
    """Random texts in which the strings of the criterion's fields, and parts of them, occur."""
    generator = random.Random(5)  # noqa: S311
    words = list(_strings(criterion.model_dump()))
    yield from ("", *words)
    for _ in range(_TEXTS):
        text = ""
        while len(text) < _LENGTH:
            word = generator.choice(words) if words and generator.random() < 0.5 else ""
            letters = generator.choices(ALPHABET, k=generator.randint(0, 3))
            text += word[: generator.randint(0, len(word))] + "".join(letters)
        yield text


def _strings(value: object) -> Iterator[str]:
    """Every text in nested fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
