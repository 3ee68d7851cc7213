"""Texts to be scored, as the model reads them: what is scored, and what stands before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpt2sdk.components.language import Language
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.token_input import as_lists
from gpt2sdk.session.prefix_cache import common


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text as the model reads it.

    Attributes:
        text: What was written; `None` where token ids were given, or tokens have a part of the
            context in them.
        context: What stands before the scored tokens: one token or more.
        tokens: The scored tokens.
        first: Whether `context` is the text's own first token.
    """

    text: str | None
    context: tuple[int, ...]
    tokens: tuple[int, ...]
    first: bool = False


def read_texts(
    given: PromptInput,
    context: PromptInput | None,
    language: Language,
    vocab_size: int,
    *,
    bos: bool,
) -> tuple[list[ScoredText], bool]:
    """Return the texts to be scored, and whether there is one, not in a list.

    Args:
        given: One text, one list of token ids, or a list of such.
        context: What stands before them: one for all, or one for each.
        language: The model's tokenizer.
        vocab_size: Ids are below it.
        bos: Whether the tokenizer's first token stands before each text.

    Raises:
        OptionError: Something of this is wrong.
        TokenizerError: A text cannot be encoded.
    """
    texts, single = listed(given, "text")
    contexts: Sequence[object] = [""] * len(texts)
    if context is not None:
        contexts, shared = listed(context, "context")
        contexts = [*contexts] * len(texts) if shared else contexts
    if len(contexts) != len(texts):
        raise OptionError(
            f"there are {len(contexts)} contexts for {len(texts)} texts: give one for all, or one "
            "for each",
            name="context",
            value=context,
        )
    before = language.bos_token_id if bos else None
    reader = ContextReader(language, vocab_size)
    return [
        _read(reader, one, text, number, before)
        for number, (one, text) in enumerate(zip(contexts, texts, strict=True))
    ], single


class ContextReader:
    """Encodes contexts with what follows them, each of them once."""

    def __init__(self, language: Language, vocab_size: int) -> None:
        self._language = language
        self._vocab_size = vocab_size
        self._contexts: dict[str, list[int]] = {}

    def encode(self, given: object, what: str, name: str) -> list[int]:
        """Return the tokens of a text, or token ids as they are.

        Args:
            given: A text or token ids.
            what: What it is called in messages.
            name: Which argument it is.

        Raises:
            OptionError: It is neither, or an id is out of range.
            TokenizerError: The text cannot be encoded.
        """
        if isinstance(given, str):
            tokens = self._language.encode(given)
        elif isinstance(given, Sequence) and all(type(token) is int for token in given):
            tokens = list(given)
        else:
            message = f"{what} is {given!r:.60}, expected a text or a list of token ids"
            raise OptionError(message, name=name, value=given)
        wrong = next((token for token in tokens if not 0 <= token < self._vocab_size), None)
        if wrong is not None:
            message = f"{what} has token id {wrong}, expected 0 to {self._vocab_size - 1}"
            raise OptionError(message, name=name, value=wrong)
        return tokens

    def begin(self, context: object, what: str, name: str) -> list[int]:
        """Do as `encode`, and remember the tokens of a text: others may follow it.

        Args:
            context: A text or token ids; may be empty.
            what: What it is called in messages.
            name: Which argument it is.

        Raises:
            OptionError: It is neither, or an id is out of range.
            TokenizerError: The text cannot be encoded.
        """
        if not isinstance(context, str):
            return self.encode(context, what, name)
        if context not in self._contexts:
            self._contexts[context] = self.encode(context, what, name)
        return self._contexts[context]

    def join(self, context: object, text: object, what: str, name: str) -> tuple[list[int], int]:
        """Return the tokens of both, and how many first ones are the context's alone.

        Two texts are encoded as one, so that it does not matter where it is cut; a token that
        reaches over the cut is not the context's.

        Args:
            context: A text or token ids; may be empty.
            text: A text or token ids.
            what: What the second one is called in messages.
            name: Which argument it is.

        Raises:
            OptionError: One is neither, or an id is out of range.
            TokenizerError: A text cannot be encoded.
        """
        begun = self.begin(context, f"the context of {what}", "context")
        if not isinstance(context, str):
            return [*begun, *self.encode(text, what, name)], len(begun)
        if not isinstance(text, str):
            return [*begun, *self.encode(text, what, name)], len(begun)
        whole = self.encode(context + text, what, name)
        return whole, common(begun, whole)


def listed(given: PromptInput, name: str) -> tuple[Sequence[object], bool]:
    """Return what was given in a list, and whether it is one alone.

    Args:
        given: A text, token ids, or a list of such.
        name: Which argument it is.

    Raises:
        OptionError: It is none of these, or an empty list.
    """
    value = as_lists(given, name)
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        message = f"{name} is {given!r:.60}, expected a text, token ids, or a list of such"
        raise OptionError(message, name=name, value=given)
    if isinstance(value, str) or (len(value) and isinstance(value[0], int)):
        return [value], True
    if not value:
        message = f"there is no {name}: expected a text, token ids, or a list of such"
        raise OptionError(message, name=name, value=given)
    return value, False


def _read(
    reader: ContextReader, context: object, given: object, number: int, before: int | None
) -> ScoredText:
    """Turn a text into tokens, with what stands before them.

    What begins with the token that would stand before it does not get a second one.
    """
    what = f"text {number}"
    if not given and isinstance(given, Sequence):
        message = f"{what} is empty: expected at least one token to score"
        raise OptionError(message, name="text", value=given)
    tokens, known = reader.join(context, given, what, "text")
    if before is not None and tokens[0] != before:
        tokens, known = [before, *tokens], known + 1
    first = not known
    if first and len(tokens) == 1:
        raise OptionError(
            f"{what} is one token with nothing before it: expected two or more, a context, or a "
            "tokenizer with a bos token and bos=True",
            name="text",
            value=given,
        )
    known = max(known, 1)
    text = given if isinstance(given, str) else None
    if isinstance(context, str) and context and text is not None:
        # Where a token reaches over the cut, the scored tokens hold more than the text.
        alone = reader.begin(context, what, "context")
        begun = tokens[known - len(alone) : known] == alone
        text = text if begun else None
    return ScoredText(text, tuple(tokens[:known]), tuple(tokens[known:]), first)
