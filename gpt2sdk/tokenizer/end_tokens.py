"""Which tokens end a text, by everything that says so: one rule for whoever asks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpt2sdk.components.end_names import EndNames
from gpt2sdk.tokenizer.tokenizer import Tokenizer


class Speaker(Protocol):
    """What a tokenizer of any kind says of its end."""

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text."""


@dataclass(frozen=True, slots=True)
class EndTokens:
    """The tokens that end a text.

    Attributes:
        ids: All of them; `closing` is the first.
        notes: Where those who name end tokens differ, one line each.
    """

    ids: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def closing(self) -> int | None:
        """The one that is put behind a document; `None` if there is none."""
        return self.ids[0] if self.ids else None


def find_end_tokens(config: EndNames | None, tokenizer: Speaker | None) -> EndTokens:
    """Gather a model's end tokens: those of its tokenizer, its generation config and its config.

    All that are written down count, since each of the three may be the one that was kept right: a
    model that was taught another end token often has it in its tokenizer alone. Two kinds do not:
    ids that the model has no row for, and ordinary words of the vocabulary, unless the generation
    config names them. Configs still name 50256 that were made for another vocabulary.

    Args:
        config: What the model's config files name: its `GPT2Config`, or `NamedEnds`; `None` for a
            model that has none.
        tokenizer: Its tokenizer; `None` for none.
    """
    own = None if tokenizer is None else tokenizer.eos_token_id
    named: dict[str, tuple[int, ...]] = {"the tokenizer": () if own is None else (own,)}
    if config is not None:
        named["the generation config"] = config.generation_end_tokens
        named["the config"] = config.written_end_tokens
        named = {
            source: tuple(token for token in ids if token < config.vocab_size)
            for source, ids in named.items()
        }
    words = [
        token
        for token in named.get("the config", ())
        if token not in named["the generation config"]
        and isinstance(tokenizer, Tokenizer)
        and tokenizer.is_word(token)
    ]
    if words:
        named["the config"] = tuple(token for token in named["the config"] if token not in words)
    ids = tuple(dict.fromkeys(token for several in named.values() for token in several))
    return EndTokens(ids, (*_differences(named), *_ignored(words, tokenizer)))


def _differences(named: dict[str, tuple[int, ...]]) -> Iterator[str]:
    given = {source: ids for source, ids in named.items() if ids}
    if len({frozenset(ids) for ids in given.values()}) > 1:
        each = ", ".join(f"{source} {_list(ids)}" for source, ids in given.items())
        yield f"end tokens differ: {each}; a text ends at each of them"


def _ignored(words: Sequence[int], tokenizer: Speaker | None) -> Iterator[str]:
    for token in words:
        text = tokenizer.token_text(token) if isinstance(tokenizer, Tokenizer) else ""
        yield (
            f"the config's end token {token} is the ordinary word {text!r}, and ends no text: if "
            "it should, name it in generation_config.json"
        )


def _list(ids: Sequence[int]) -> str:
    return " and ".join(map(str, ids))
