"""Options behind prompts: how likely each is, without generating anything."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from gpt2sdk.components.answers import Decision, Normalization
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.continuation_text import continuation_text
from gpt2sdk.components.language import Language
from gpt2sdk.errors import ContextOverflowError, GenerationError, OptionError
from gpt2sdk.generator.judging import judge
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.scored_text import ContextReader, listed
from gpt2sdk.generator.token_input import as_lists
from gpt2sdk.session.prefix_cache import PrefixCache, common

Options = Sequence[str | Sequence[int] | Sequence[str | Sequence[int]]]
"""Options as texts or token ids; one list of them for all prompts, or one list for each."""

_NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)


@dataclass(frozen=True, slots=True)
class Posed:
    """A prompt with its options, as the model reads them.

    Attributes:
        texts: The options.
        sequences: The tokens of prompt and option, for each option.
        known: How many first tokens are the prompt's alone, whatever option follows.
    """

    texts: tuple[str, ...]
    sequences: tuple[tuple[int, ...], ...]
    known: int


def choose_all(
    prompt: PromptInput,
    options: Options,
    model: CausalLM,
    language: Language,
    *,
    normalization: Normalization,
    prefixes: PrefixCache | None = None,
    cancel: threading.Event | None = None,
) -> Decision | list[Decision]:
    """Do what `Generator.choose` says.

    Args:
        prompt: One text, one list of token ids, or a list of such.
        options: One list for all prompts, or one list for each.
        model: What scores tokens.
        language: Its tokenizer.
        normalization: By what options are compared.
        prefixes: What was read in other calls.
        cancel: Ends it early.

    Raises:
        OptionError: Something of this is wrong; nothing has run then.
        TokenizerError: A text cannot be encoded.
        ContextOverflowError: A prompt with an option does not fit the window.
        GenerationError: The model's logits are no numbers, or it rules out all options.
    """
    normalization = normalization_of(normalization)
    prompts, single = listed(prompt, "prompt")
    lists = _option_lists(options, len(prompts))
    reader = ContextReader(language, model.vocab_size)
    posed = [
        _pose(reader, language, one, each, number)
        for number, (one, each) in enumerate(zip(prompts, lists, strict=True))
    ]
    size = model.context_length
    _check_room(posed, size)
    sequences = [sequence for each in posed for sequence in each.sequences]
    known = [each.known for each in posed for _ in each.sequences]
    verdicts = iter(judge(model, sequences, size, size, known, prefixes, cancel=cancel))
    decisions = []
    for number, each in enumerate(posed):
        found = [next(verdicts) for _ in each.sequences]
        logprobs = tuple(math.fsum(one.logprob for one in several) for several in found)
        if max(logprobs) == -math.inf:
            raise GenerationError(f"prompt {number}: the model rules out every option")
        lengths = tuple(map(len, found))
        sizes = tuple(max(len(text.encode()), 1) for text in each.texts)
        decisions.append(Decision(each.texts, logprobs, lengths, sizes, normalization, number))
    return decisions[0] if single else decisions


def normalization_of(name: str) -> Normalization:
    """Return the normalization of a name.

    Raises:
        OptionError: There is none.

    >>> normalization_of("byte")
    'byte'
    """
    found = next((each for each in _NORMALIZATIONS if each == name), None)
    if found is None:
        raise OptionError(
            f"normalization is {name!r:.60}, expected one of {', '.join(_NORMALIZATIONS)}",
            name="normalization",
            value=name,
        )
    return found


def _option_lists(options: object, count: int) -> list[Sequence[object]]:
    """Return the options of each prompt."""
    value = as_lists(options, "options")
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        message = f"options is {options!r:.60}, expected a list of texts or token ids"
        raise OptionError(message, name="options", value=options)
    several = all(
        isinstance(each, Sequence)
        and not isinstance(each, str)
        and len(each)
        and not isinstance(each[0], int)
        for each in value
    )
    empty = [place for place, each in enumerate(value) if not _is_text(each) and not len(each)]
    if empty and any(not _is_text(each) and len(each) and _is_text(each[0]) for each in value):
        message = f"prompt {empty[0]} has no options: expected a list of texts or token ids"
        raise OptionError(message, name="options", value=options)
    if not several:
        return [value] * count
    if len(value) != count:
        raise OptionError(
            f"there are {len(value)} lists of options for {count} prompts: give one list for all, "
            "or one for each",
            name="options",
            value=options,
        )
    return list(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) or not isinstance(value, Sequence)


def _pose(
    reader: ContextReader,
    language: Language,
    prompt: object,
    options: Sequence[object],
    number: int,
) -> Posed:
    """Read a prompt with each of its options.

    An option that merges with the prompt's end changes where all of them begin: what is compared
    is everything behind the tokens that all have in common.
    """
    before = language.bos_token_id
    begun = reader.begin(prompt, f"prompt {number}", "prompt")
    bare = isinstance(prompt, str) and begun[:1] != [before]
    added = () if before is None or not (language.adds_bos and bare) else (before,)
    texts: list[str] = []
    sequences: list[tuple[int, ...]] = []
    for place, option in enumerate(options):
        what = f"option {place} of prompt {number}"
        if not option and isinstance(option, Sequence):
            message = f"{what} is empty: expected a text or token ids"
            raise OptionError(message, name="options", value=option)
        joined, _ = reader.join(prompt, option, what, "options")
        tokens = (*added, *joined)
        new = joined[len(begun) :]
        text = option if isinstance(option, str) else continuation_text(language, new)
        texts.append(text)
        sequences.append(tokens)
    if len(set(sequences)) < len(sequences):
        twice = next(text for at, text in enumerate(texts) if sequences.index(sequences[at]) < at)
        message = f"prompt {number} has the option {twice!r:.60} twice: give it once"
        raise OptionError(message, name="options", value=twice)
    known = min(common((*added, *begun), each) for each in sequences)
    if known:
        return Posed(tuple(texts), tuple(sequences), known)
    if before is None:
        raise OptionError(
            f"prompt {number} has no token before its options: expected a longer prompt, or a "
            "tokenizer with a bos token",
            name="prompt",
            value=prompt,
        )
    return Posed(tuple(texts), tuple((before, *each) for each in sequences), 1)


def _check_room(posed: Sequence[Posed], limit: int) -> None:
    """Make sure that all options of a prompt are read behind the whole of it."""
    for number, each in enumerate(posed):
        for place, sequence in enumerate(each.sequences):
            if len(sequence) - 1 > limit:
                raise ContextOverflowError(
                    f"prompt {number} with option {place} has {len(sequence)} tokens, expected at "
                    f"most {limit + 1}: the last of them is not read, and the window is {limit}",
                    prompt_tokens=len(sequence),
                    limit=limit,
                )
