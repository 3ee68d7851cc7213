"""Special tokens under names that nobody can write, beside the same spellings as ordinary text.

In a chat, `<|im_end|>` is a token where the template writes it, and text where a user does. So the
template writes a stand-in, whose name is drawn at random, and a copy of the tokenizer knows the
special tokens by these names alone. Everything else about it is the same: where it cuts texts,
what it does behind a special token. It is also what keeps special tokens out of texts where the
model itself has them as pieces, as Unigram has `</s>`.
"""

import json
import re
import secrets
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer

# A literal `<0x0A>` is a piece of a Unigram model like any other; cut in two, it is text.
_BYTE_PIECE = {
    "type": "Split",
    "pattern": {"Regex": "<(?=0x[0-9A-F]{2}>)"},
    "behavior": "Isolated",
    "invert": False,
}


class StandIns:
    """A copy of a tokenizer in which special tokens have secret names.

    Special tokens that are words to the model too, made by merges or of one character, have none:
    text may always hold them.
    """

    def __init__(self, library: Tokenizer) -> None:
        """Copy a tokenizer; its other properties stay as they are.

        Args:
            library: The tokenizer, every special token in it.
        """
        written: dict[str, Any] = json.loads(library.to_str())
        model = written["model"]
        special = [each["content"] for each in written["added_tokens"] if each["special"]]
        words = frozenset(_words(model, special))
        self._secret = secrets.token_hex(16)
        self._names = {
            text: f"{self._secret}{number:x}z"
            for number, text in enumerate(special)
            if text not in words and text
        }
        self._texts = {name: text for text, name in self._names.items()}
        self._named = re.compile(f"{self._secret}[0-9a-f]+z")
        self._either = _any_of([self._named.pattern, *_longest_first(self._names)])
        self._library = Tokenizer.from_str(json.dumps(_renamed(written, self._names, words)))
        self._library.no_truncation()
        self._library.no_padding()

    @property
    def names(self) -> Mapping[str, str]:
        """The stand-in of each special token, by its text."""
        return self._names

    def put(self, text: str, only: Container[str] | None = None) -> str:
        """Write stand-ins where a text spells special tokens out: all of them, or only some."""
        known = self._names
        names = known if only is None else {text: known[text] for text in known if text in only}
        return self._either.sub(lambda found: names.get(found[0], found[0]), text)

    def take(self, text: str) -> str:
        """Write special tokens out where a text has stand-ins."""
        return self._named.sub(lambda found: self._texts.get(found[0], found[0]), text)

    def spelled_out(self, text: str) -> list[str]:
        """Return the special tokens that a text spells out beside its stand-ins, in order."""
        return [each for each in self._either.findall(text) if each in self._names]

    def begins(self, text: str) -> str | None:
        """Return the special token whose stand-in a text begins with; `None` for none."""
        found = self._named.match(text)
        return None if found is None else self._texts.get(found[0])

    def is_broken(self, text: str) -> bool:
        """Whether a text has parts of stand-ins, or some that were written in other letters."""
        rest = self._named.sub("", text).lower()
        half = len(self._secret) // 2
        return self._secret[:half] in rest or self._secret[half:] in rest

    def encode(self, text: str) -> list[int]:
        """Cut a text into tokens: stand-ins are special tokens, everything else is text."""
        return self._library.encode(text, add_special_tokens=False).ids


def _longest_first(texts: Iterable[str]) -> list[str]:
    # So the library finds them, too.
    return [re.escape(text) for text in sorted(texts, key=len, reverse=True)]


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _words(model: Mapping[str, Any], special: list[str]) -> Iterator[str]:
    """Yield the special tokens that a model makes of ordinary text."""
    made = set()
    for pair in model.get("merges", ()):
        left, right = pair.split(" ", 1) if isinstance(pair, str) else pair
        made |= {left, right, left + right}
    yield from (text for text in special if text in made or len(text) == 1)


def _renamed(
    written: dict[str, Any], names: Mapping[str, str], words: frozenset[str]
) -> dict[str, Any]:
    """Return what `tokenizer.json` would say with other names for special tokens."""
    model = written["model"]
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        renamed: object = {names.get(text, text): token for text, token in vocab.items()}
    else:
        renamed = [[names.get(text, text), score] for text, score in vocab]
    unknown = model.get("unk_token")
    model = model | {"vocab": renamed}
    if isinstance(unknown, str):
        model["unk_token"] = names.get(unknown, unknown)
    added = [
        each | {"content": names.get(each["content"], each["content"])}
        for each in written["added_tokens"]
        if not (each["special"] and each["content"] in words)
    ]
    cutting = written.get("pre_tokenizer")
    if model["type"] == "Unigram" and model.get("byte_fallback"):
        parts = [_BYTE_PIECE] if cutting is None else [cutting, _BYTE_PIECE]
        cutting = {"type": "Sequence", "pretokenizers": parts}
    return written | {
        "model": model,
        "added_tokens": added,
        "pre_tokenizer": cutting,
        "post_processor": None,
    }
