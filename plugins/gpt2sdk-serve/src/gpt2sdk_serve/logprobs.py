"""Log-probabilities as OpenAI's answers have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpt2sdk import Completion, Delta
from gpt2sdk_serve.reading import plain
from gpt2sdk_serve.token_words import OffsetMeter, TokenWords

Top = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of some tokens.

    Attributes:
        tokens: Their ids.
        logprobs: The log-probability of each.
        top: The likeliest tokens in the place of each.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[Top, ...]

    @classmethod
    def of(cls, made: Completion | Delta) -> "Told":
        """Return what is told of the tokens of a completion, or of a part of one."""
        return cls(made.tokens, made.logprobs or (), made.top_logprobs or ())


def completion_logprobs(told: Told, words: TokenWords, meter: OffsetMeter) -> dict[str, list[Any]]:
    """Return what `/v1/completions` says: each token, with the likeliest ones by name.

    The token itself is among these, as at OpenAI.
    """
    return {
        "tokens": [words.name(token) for token in told.tokens],
        "token_logprobs": [plain(each) for each in told.logprobs],
        "top_logprobs": [
            _named(token, logprob, top, words)
            for token, logprob, top in zip(told.tokens, told.logprobs, told.top, strict=True)
        ],
        "text_offset": meter.take(told.tokens),
    }


def _named(token: int, logprob: float, top: Top, words: TokenWords) -> dict[str, float | None]:
    return {words.name(one): plain(number) for one, number in (*top, (token, logprob))}


def chat_logprobs(told: Told, words: TokenWords) -> dict[str, Any]:
    """Return what `/v1/chat/completions` says: each token with its bytes, and the likeliest."""
    return {
        "content": [
            {
                **_piece(token, logprob, words),
                "top_logprobs": [_piece(*each, words) for each in top],
            }
            for token, logprob, top in zip(told.tokens, told.logprobs, told.top, strict=True)
        ],
        "refusal": None,
    }


def _piece(token: int, logprob: float, words: TokenWords) -> dict[str, Any]:
    spelled = words.spelled(token)
    number = plain(logprob)
    return {
        "token": words.name(token),
        "logprob": -9999.0 if number is None else number,
        "bytes": list(spelled),
    }
