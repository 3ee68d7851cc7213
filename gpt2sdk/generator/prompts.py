"""Prompts: what a caller may write, turned into tokens and checked before any work."""

from collections.abc import Mapping, Sequence
from typing import SupportsIndex

from gpt2sdk.components.component import identity
from gpt2sdk.components.language import Language
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Prompt
from gpt2sdk.components.session import Vocabulary
from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.generator.token_input import Ids, TokenInput, as_lists
from gpt2sdk.options import Composition
from gpt2sdk.session.checks import check_room

PromptInput = str | Sequence[str | SupportsIndex | Ids | Mapping[str, object]] | TokenInput
"""One text, one sequence of token ids, or a list of such: tensors, arrays, tokenizers' batches."""

DEFAULT_NEW_TOKENS = 128


Encoded = tuple[str | None, tuple[int, ...]]
"""A prompt as it was written, if it was text, and its tokens."""


def encode_prompts(prompt: PromptInput, language: Language, vocab_size: int) -> list[Encoded]:
    """Turn what a caller gave into tokens, one entry per prompt.

    Raises:
        OptionError: It is no prompt, an empty one, or a token id is out of range.
        TokenizerError: A text cannot be encoded.
    """
    given = as_lists(prompt, "the prompt")
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray):
        message = f"the prompt is {given!r:.60}, expected a text, token ids, or a list of such"
        raise OptionError(message, name="prompt", value=prompt)
    single = isinstance(given, str) or (len(given) and _is_token(given[0]))
    prompts: Sequence[object] = [given] if single else given
    if not prompts:
        message = "there is no prompt: expected a text, token ids, or a list of such"
        raise OptionError(message, name="prompt", value=prompt)
    return [_encode(each, index, language, vocab_size) for index, each in enumerate(prompts)]


def encode_text(prompt: str, language: Language, *, allow_special: bool = False) -> list[int]:
    """Return the tokens of a prompt's text, behind the bos token where the model is used to it.

    Args:
        prompt: The text.
        language: Its tokenizer.
        allow_special: Let special tokens that the text spells out be the tokens they name. A bos
            token that stands there already is not doubled.

    Raises:
        TokenizerError: The text cannot be encoded.
    """
    tokens = language.encode(prompt, allow_special=allow_special)
    bos = language.bos_token_id
    if language.adds_bos and bos is not None and tokens[:1] != [bos]:
        tokens = [bos, *tokens]
    return tokens


def _encode(prompt: object, index: int, language: Language, vocab_size: int) -> Encoded:
    if isinstance(prompt, str):
        tokens = encode_text(prompt, language)
    elif isinstance(prompt, Sequence) and all(_is_token(token) for token in prompt):
        tokens = list(prompt)
    else:
        message = f"prompt {index} is {prompt!r:.60}, expected a text or a list of token ids"
        raise OptionError(message, name="prompt", value=prompt)
    if not tokens:
        message = f"prompt {index} is empty: expected at least one token to continue from"
        raise OptionError(message, name="prompt", value=prompt)
    wrong = next((token for token in tokens if not 0 <= token < vocab_size), None)
    if wrong is not None:
        message = f"prompt {index} has token id {wrong}, expected 0 to {vocab_size - 1}"
        raise OptionError(message, name="prompt", value=wrong)
    return (prompt if isinstance(prompt, str) else None), tuple(tokens)


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def cut_back(
    encoded: Sequence[Encoded], composition: Composition, vocabulary: Vocabulary, vocab_size: int
) -> list[int]:
    """Ask processors how many last tokens of each prompt its rows write anew."""
    cuts = [0] * len(encoded)
    for entry in composition.processors:
        acting: dict[object, tuple[LogitsProcessor, list[int]]] = {}
        for index in range(len(encoded)):
            link = entry.link(index)
            if link is not None:
                component = link.component
                acting.setdefault(identity(component), (component, []))[1].append(index)
        for component, indices in acting.values():
            tokens = [encoded[index][1] for index in indices]
            found = component.cut_back(tokens, vocabulary, vocab_size)
            for index, count in zip(indices, found, strict=True):
                cuts[index] = max(cuts[index], min(count, len(encoded[index][1]) - 1))
    return cuts


def plan_prompts(
    encoded: Sequence[Encoded], composition: Composition, limit: int, cuts: Sequence[int]
) -> list[Prompt]:
    """Give each prompt its seed and its room to grow.

    Args:
        encoded: The prompts.
        composition: What the call's options come to.
        limit: The model's window.
        cuts: How many last tokens of each are cut off.

    Raises:
        ContextOverflowError: A prompt, or what it may grow by, does not fit the window.
    """
    slide = composition.lead.overflow == "slide"
    prompts = []
    for index, ((text, given), cut) in enumerate(zip(encoded, cuts, strict=True)):
        tokens = given[: len(given) - cut]
        if not slide and len(tokens) > limit:
            message = (
                f"prompt {index} has {len(tokens)} tokens, but the window is {limit}: shorten it, "
                'or set overflow="slide"'
            )
            raise ContextOverflowError(message, prompt_tokens=len(tokens), limit=limit)
        wanted = composition.max_new_tokens[index if len(composition.max_new_tokens) > 1 else 0]
        fitting = DEFAULT_NEW_TOKENS if slide else limit + 1 - len(tokens)
        room = min(DEFAULT_NEW_TOKENS, fitting) if wanted is None else wanted
        seed = composition.seeds[index if len(composition.seeds) > 1 else 0]
        ends = composition.eos_token_ids or frozenset()
        prompt = Prompt(index, tokens, seed, room, text, ends, cut=given[len(tokens) :])
        check_room(prompt, len(tokens), limit, slide=slide)
        prompts.append(prompt)
    return prompts


def check_processors(prompts: Sequence[Prompt], composition: Composition) -> None:
    """Let every processor look at the prompts that it is to act on.

    Raises:
        OptionError: What one of them was told makes no sense for a prompt.
    """
    processors = composition.processors
    for prompt in prompts:
        alone: dict[str, str] = {}
        for entry in processors:
            link = entry.link(prompt.index)
            if link is None:
                continue
            link.component.check_prompt(prompt)
            does, name = link.component.alone, link.component.name
            if does and does in alone:
                message = (
                    f"{alone[does]} and {name} cannot act on one prompt: each {does}; give one"
                )
                raise OptionError(message, name=name, value=link.component)
            alone[does] = name
