"""How likely texts are to a model: every token's log-probability, window after window."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.records import Score
from gpt2sdk.errors import GenerationError, OptionError
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.token_input import as_lists
from gpt2sdk.generator.windows import Window, batches, cut
from gpt2sdk.shapes import Logits
from gpt2sdk.streaming import TextDecoder

# Bytes of the float32 logits of one call: 166 positions of GPT-2's vocabulary.
_LOGITS_BYTES = 2**25
# Tokens of one call: enough for fast products; keys and values of these fit anywhere.
_TOKENS = 2048
# Rows of logits that are summed in float64 at once.
_SUMMED = 16


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text as the model reads it.

    Attributes:
        text: What was written; `None` where token ids were given.
        context: What stands before the scored tokens: one token.
        tokens: The scored tokens.
        first: Whether `context` is the text's own first token.
    """

    text: str | None
    context: tuple[int]
    tokens: tuple[int, ...]
    first: bool


def score_all(
    given: PromptInput,
    model: CausalLM,
    language: Language,
    decoder: TextDecoder,
    *,
    window: int | None,
    stride: int | None,
    bos: bool,
) -> Score | list[Score]:
    """Do what `Generator.score` says.

    Args:
        given: One text, one list of token ids, or a list of such.
        model: What scores tokens.
        language: Its tokenizer.
        decoder: Tokens to text as they come.
        window: Tokens that are read at once; the context length by default.
        stride: Predictions of each window but the first; half the window by default.
        bos: Whether the tokenizer's first token stands before each text.

    Raises:
        OptionError: Something of this is wrong; nothing has run then.
        TokenizerError: A text cannot be encoded.
        GenerationError: The model's logits are no numbers.
    """
    size, step = _checked(window, stride, model.context_length)
    texts, single = _listed(given)
    before = language.bos_token_id if bos else None
    scored_texts = [
        _read(text, number, language, before, model.vocab_size) for number, text in enumerate(texts)
    ]
    sequences = [(*scored.context, *scored.tokens) for scored in scored_texts]
    logprobs = log_probabilities(model, sequences, size, step)
    scores = [
        _record(scored, numbers, decoder)
        for scored, numbers in zip(scored_texts, logprobs, strict=True)
    ]
    return scores[0] if single else scores


def log_probabilities(
    model: CausalLM, sequences: Sequence[Sequence[int]], size: int, stride: int
) -> list[list[float]]:
    """Return the log-probability of every token but the first of each sequence.

    Args:
        model: What scores tokens.
        sequences: Token ids, two or more of each.
        size: Tokens of a window.
        stride: Predictions of each window but the first.

    Raises:
        GenerationError: The model's logits are no numbers.
    """
    most = max(1, _LOGITS_BYTES // (4 * model.vocab_size))
    windows = [
        window
        for number, sequence in enumerate(sequences)
        for window in cut(number, len(sequence), size, stride)
    ]
    found: dict[Window, list[float]] = {window: [] for window in windows}
    for batch in batches(windows, tokens=_TOKENS, scored=most):
        for window, numbers in _run(model, sequences, batch, most):
            found[window] += numbers
    logprobs: list[list[float]] = [[] for _ in sequences]
    for window in windows:
        logprobs[window.text] += found[window]
    if any(math.isnan(number) for numbers in logprobs for number in numbers):
        raise GenerationError("the model's logits are NaN: its weights are damaged, or overflow")
    return logprobs


def _run(
    model: CausalLM, sequences: Sequence[Sequence[int]], batch: Sequence[Window], most: int
) -> Iterator[tuple[Window, list[float]]]:
    """Feed windows, at most so many scored positions of one at a time.

    For example, a window of 9 tokens, 5 of them scored, 2 at a time: the model is fed 6, 2 and 1.
    """
    cache = model.make_cache(len(batch))
    for begin in range(0, max(window.scored for window in batch), most):
        fed, keep, targets = [], [], list[int]()
        for window in batch:
            tokens = sequences[window.text]
            first = window.stop - window.scored
            start = first + begin if begin else window.start
            stop = max(start, min(first + begin + most, window.stop))
            kept = stop - max(start, first)
            fed.append(tokens[start:stop])
            keep.append(kept)
            targets += tokens[stop - kept + 1 : stop + 1]
        with torch.inference_mode():
            numbers = _chosen(model.score(cache, fed, keep).logits, targets).tolist()
        for window, kept in zip(batch, keep, strict=True):
            yield window, numbers[:kept]
            del numbers[:kept]


def _chosen(logits: Logits, tokens: Sequence[int]) -> Float[Tensor, " rows"]:
    """Return the log-probability of one token of each row: its logit, less log Σ exp.

    >>> _chosen(torch.tensor([[1.0, 3.0], [3.0, 5.0]]).log(), [1, 0]).exp()
    tensor([0.7500, 0.3750], dtype=torch.float64)
    """
    chosen = torch.tensor(tokens, device=logits.device)
    sums = [part.double().logsumexp(-1) for part in torch.split(logits, _SUMMED)]
    return logits.gather(-1, chosen[:, None])[:, 0].double() - torch.cat(sums)


def _checked(window: int | None, stride: int | None, limit: int) -> tuple[int, int]:
    size = limit if window is None else window
    if not 2 <= size <= limit:
        raise OptionError(
            f"window is 2 to {limit} tokens, the model's context; got {size}",
            name="window",
            value=window,
            expected=f"2 to {limit}",
        )
    step = size // 2 if stride is None else stride
    if not 1 <= step <= size:
        raise OptionError(
            f"stride is 1 to {size} tokens, the window; got {step}",
            name="stride",
            value=stride,
            expected=f"1 to {size}",
        )
    return size, step


def _listed(given: PromptInput) -> tuple[Sequence[object], bool]:
    """Return the texts, and whether there is one, not in a list."""
    value = as_lists(given, "text")
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        message = f"text is {given!r:.60}, expected a text, token ids, or a list of such"
        raise OptionError(message, name="text", value=given)
    if isinstance(value, str) or (len(value) and isinstance(value[0], int)):
        return [value], True
    if not value:
        message = "there is nothing to score: expected a text, token ids, or a list of such"
        raise OptionError(message, name="text", value=given)
    return value, False


def _read(
    given: object, number: int, language: Language, before: int | None, vocab_size: int
) -> ScoredText:
    """Turn a text into tokens, with what stands before them.

    A text that begins with the token that would stand before it does not get a second one.
    """
    if isinstance(given, str):
        tokens = language.encode(given)
    elif isinstance(given, Sequence) and all(type(token) is int for token in given):
        tokens = list(given)
    else:
        message = f"text {number} is {given!r:.60}, expected a text or a list of token ids"
        raise OptionError(message, name="text", value=given)
    if not tokens:
        message = f"text {number} is empty: expected at least one token to score"
        raise OptionError(message, name="text", value=given)
    first = before is None or tokens[0] == before
    sequence = tokens if first else [*([] if before is None else [before]), *tokens]
    wrong = next((token for token in sequence if not 0 <= token < vocab_size), None)
    if wrong is not None:
        message = f"text {number} has token id {wrong}, expected 0 to {vocab_size - 1}"
        raise OptionError(message, name="text", value=wrong)
    if len(sequence) == 1:
        raise OptionError(
            f"text {number} is one token with nothing before it: expected two or more, or a "
            "tokenizer with a bos token and bos=True",
            name="text",
            value=given,
        )
    text = given if isinstance(given, str) else None
    return ScoredText(text, (sequence[0],), tuple(sequence[1:]), first)


def _record(scored: ScoredText, logprobs: Sequence[float], decoder: TextDecoder) -> Score:
    """Put the numbers beside the tokens' texts."""
    state = decoder.start(scored.context)
    skipped = decoder.step(decoder.start(), *scored.context)[1] if scored.first else ""
    pieces = []
    for token in scored.tokens:
        state, piece = decoder.step(state, token)
        pieces.append(piece)
    pieces[-1] += decoder.finish(state)
    text = "".join(pieces) if scored.text is None else scored.text
    skipped = "" if scored.text is None else skipped
    return Score(
        tokens=scored.tokens,
        texts=tuple(pieces),
        logprobs=tuple(logprobs),
        nbytes=len(text.encode()) - len(skipped.encode()),
        context=scored.context,
    )
