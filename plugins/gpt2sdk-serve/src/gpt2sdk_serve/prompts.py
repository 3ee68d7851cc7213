"""The prompts of a request: texts or token ids, one or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.served_model import ServedModel

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


def read_prompts(given: object, served: ServedModel, most: int, name: str = "prompt") -> Prompts:
    """Read a text, token ids, or a list of such.

    Args:
        given: What a request has.
        served: The model that reads them.
        most: How many there may be.
        name: What the field is called.

    Raises:
        RequestError: It is something else, or there are too many.
        TokenizerError: A text is no Unicode.
    """
    listed, single = _listed(given, name)
    if len(listed) > most:
        raise RequestError(f"{name} has {len(listed)} prompts, expected {most} at most", param=name)
    vocab_size = served.generator.model.vocab_size
    written: list[Written] = []
    tokens: list[tuple[int, ...]] = []
    for place, each in enumerate(listed):
        where = name if single else f"{name}[{place}]"
        if isinstance(each, str):
            found = served.encode(each)
        elif _are_ids(each):
            found = each
            _check_ids(found, where, vocab_size)
        else:
            message = f"{where} is {each!r:.60}, expected a text or a list of token ids"
            raise RequestError(message, param=name)
        if not found:
            message = f"{where} is empty: expected at least one token to continue from"
            raise RequestError(message, param=name, code="empty_prompt")
        written.append(each)
        tokens.append(tuple(found))
    return Prompts(tuple(written), tuple(tokens), single)


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
