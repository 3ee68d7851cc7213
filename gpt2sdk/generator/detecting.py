"""Marks in texts: what a caller gives, turned into what a detector judges."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpt2sdk.components.detector import Detection
from gpt2sdk.components.language import Language
from gpt2sdk.components.records import Result
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.marking import public_key
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.token_input import as_lists
from gpt2sdk.options import named_detector
from gpt2sdk.plugins.registry import Registry


def detect_all(
    text: PromptInput | Result,
    detector: object,
    options: Mapping[str, object],
    *,
    prompt: PromptInput | None,
    language: Language,
    vocab_size: int,
    registry: Registry,
) -> Detection | list[Detection]:
    """Do what `Generator.detect` says.

    Args:
        text: One text, one list of token ids, a list of such, or a result.
        detector: A detector or its name.
        options: The detector's, where it was named.
        prompt: What stood before: one for all texts, or one for each; `None` for what is unknown.
        language: The tokenizer.
        vocab_size: How many tokens the model has.
        registry: Where names are looked up.

    Raises:
        OptionError: Something of this is wrong.
        TokenizerError: A text cannot be encoded.
    """
    judge = named_detector(detector, options, registry)
    if isinstance(text, Result):
        texts: Sequence[object] = [list(each.tokens) for each in text.completions]
        single = False
    else:
        texts, single = _listed(text, "text")
    before = [] if prompt is None else _listed(prompt, "prompt")[0]
    if len(before) not in {0, 1, len(texts)}:
        raise OptionError(
            f"prompt has {len(before)} texts for {len(texts)}: give one, or one for each",
            name="prompt",
            value=prompt,
        )
    contexts = [_encode(each, "prompt", language, vocab_size) for each in before] or [[]]
    contexts = contexts * len(texts) if len(contexts) == 1 else contexts
    found = [
        judge.detect(context + _encode(each, "text", language, vocab_size), len(context))
        for each, context in zip(texts, contexts, strict=True)
    ]
    if notes := public_key(judge):
        found = [replace(each, notes=(*each.notes, *notes)) for each in found]
    return found[0] if single else found


def _listed(given: object, name: str) -> tuple[Sequence[object], bool]:
    """Return what was given as a list of texts, and whether it was a single one."""
    read = as_lists(given, f"the {name}")
    if not isinstance(read, Sequence) or isinstance(read, bytes | bytearray):
        message = f"the {name} is {read!r:.60}, expected a text, token ids, or a list of such"
        raise OptionError(message, name=name, value=given)
    if isinstance(read, str) or not read or _is_token(read[0]):
        return [read], True
    return read, False


def _encode(text: object, name: str, language: Language, vocab_size: int) -> list[int]:
    """Return the tokens of a text, without a bos token, which would be none of its own."""
    if isinstance(text, str):
        return language.encode(text)
    if not isinstance(text, Sequence) or not all(_is_token(token) for token in text):
        message = f"the {name} has {text!r:.60}, expected a text or a list of token ids"
        raise OptionError(message, name=name, value=text)
    tokens = list(text)
    wrong = next((token for token in tokens if not 0 <= token < vocab_size), None)
    if wrong is not None:
        message = f"the {name} has token id {wrong}, expected 0 to {vocab_size - 1}"
        raise OptionError(message, name=name, value=wrong)
    return tokens


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
