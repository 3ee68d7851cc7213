"""The prompts of a request: texts or token ids, one or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.settings import ServeSettings

Written = str | list[int]
"""One prompt, as it was written."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a request.

    Attributes:
        written: Each as it was written.
        tokens: Each as the model reads it.
        single: Whether there was one alone, not in a list.
    """

    written: tuple[Written, ...]
    tokens: tuple[tuple[int, ...], ...]
    single: bool

    @property
    def given(self) -> Written | list[Written]:
        """What a generator is given."""
        return self.written[0] if self.single else list(self.written)

    @property
    def count(self) -> int:
        """Tokens of all of them."""
        return sum(map(len, self.tokens))


def read_prompts(
    given: object, served: ServedModel, settings: ServeSettings, name: str = "prompt"
) -> Prompts:
    """Read a text, token ids, or a list of such.

    Args:
        given: What a request has.
        served: The model that reads them.
        settings: How many there may be, and how long.
        name: What the field is called.

    Raises:
        RequestError: It is something else, or there is too much of it.
        TokenizerError: A text is no Unicode.
    """
    listed, single = _listed(given, name)
    if len(listed) > settings.max_prompts:
        message = f"{name} has {len(listed)} prompts, expected {settings.max_prompts} at most"
        raise RequestError(message, param=name)
    written: list[Written] = []
    tokens: list[tuple[int, ...]] = []
    left = settings.max_prompt_tokens
    for place, each in enumerate(listed):
        where = name if single else f"{name}[{place}]"
        known, found = _read(each, served, where)
        left -= len(found)
        if left < 0:
            most = settings.max_prompt_tokens
            message = f"{name} has more than {most} tokens: ask for less at a time"
            raise RequestError(message, param=name, code="too_large")
        written.append(known)
        tokens.append(tuple(found))
    return Prompts(tuple(written), tuple(tokens), single)


def _read(given: object, served: ServedModel, where: str) -> tuple[Written, list[int]]:
    """Return a prompt as it was written, and its tokens."""
    name = where.partition("[")[0]
    known: Written
    if isinstance(given, str):
        known, found = given, served.encode(given)
    elif _are_ids(given):
        known = found = given
        _check_ids(found, where, served.generator.model.vocab_size)
    else:
        message = f"{where} is {given!r:.60}, expected a text or a list of token ids"
        raise RequestError(message, param=name)
    if not found:
        message = f"{where} is empty: expected at least one token to continue from"
        raise RequestError(message, param=name, code="empty_prompt")
    return known, found


def _listed(given: object, name: str) -> tuple[list[object], bool]:
    if isinstance(given, str):
        return [given], True
    if not isinstance(given, list):
        message = f"{name} is {given!r:.60}, expected a text, token ids, or a list of such"
        raise RequestError(message, param=name)
    if not given:
        message = f"{name} is an empty list: expected a text, token ids, or a list of such"
        raise RequestError(message, param=name, code="empty_prompt")
    return ([given], True) if _are_ids(given) else (given, False)


def _are_ids(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _check_ids(tokens: Sequence[int], where: str, vocab_size: int) -> None:
    wrong = next((token for token in tokens if not 0 <= token < vocab_size), None)
    if wrong is not None:
        message = f"{where} has token id {wrong}, expected 0 to {vocab_size - 1}"
        raise RequestError(message, param=where.partition("[")[0])
