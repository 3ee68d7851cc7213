"""A tokenizer with as many tokens as a model, and prompts that have as many as is wanted."""

import json
import random

from gpt2sdk import Tokenizer

END = "<|endoftext|>"
_WORDS = ("the", "king", "and", "old", "went", "into", "dark", "wood")


def word_tokenizer(vocab_size: int) -> Tokenizer:
    """Return a byte-level tokenizer whose every token has a text.

    They are bytes, a few words and numbers, each behind a blank, so what a model with random
    weights writes is text.

    Args:
        vocab_size: Tokens, the end token included.
    """
    made: dict[str, str] = {}
    words = (*_WORDS, *map(str, range(vocab_size)))
    for word in words:
        for end in range(1, len(word) + 1):
            made.setdefault(f"Ġ{word[:end]}", f"Ġ{word[: end - 1]} {word[end - 1]}")
        if len(made) > vocab_size - 257:
            break
    merges = list(made.values())[: vocab_size - 257]
    tokens = [*_alphabet(), *made][: vocab_size - 1]
    vocab = {token: place for place, token in enumerate([*tokens, END])}
    files = {"vocab.json": json.dumps(vocab), "merges.txt": "\n".join(["#version: 0.2", *merges])}
    return Tokenizer.from_texts(files)


def prompt_of(count: int, seed: int) -> str:
    """Return a text of so many tokens of that tokenizer, another one for each seed.

    >>> prompt_of(3, seed=1)
    ' and king went'
    """
    drawn = random.Random(seed)  # noqa: S311 - a text, no secret
    return "".join(f" {drawn.choice(_WORDS)}" for _ in range(count))


def _alphabet() -> list[str]:
    """The 256 bytes as GPT-2's vocabulary writes them."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = (byte for byte in range(256) if byte not in printed)
    characters = {byte: chr(byte) for byte in printed}
    characters |= {byte: chr(256 + place) for place, byte in enumerate(moved)}
    return [characters[byte] for byte in range(256)]
