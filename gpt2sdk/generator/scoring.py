"""How likely texts are to a model, by themselves or behind contexts."""

import threading
from collections.abc import Sequence

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.records import Score
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.judging import Verdict, judge
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.generator.scored_text import ScoredText, read_texts
from gpt2sdk.session.prefix_cache import PrefixCache
from gpt2sdk.streaming import TextDecoder


def score_all(  # noqa: PLR0913 - as many as `Generator.score` has
    given: PromptInput,
    model: CausalLM,
    language: Language,
    decoder: TextDecoder,
    *,
    window: int | None,
    stride: int | None,
    bos: bool,
    context: PromptInput | None,
    prefixes: PrefixCache | None = None,
    top: int = 0,
    cancel: threading.Event | None = None,
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
        context: What stands before the texts: one for all, or one for each.
        prefixes: What was read in other calls.
        top: How many of the likeliest tokens are named in each place.
        cancel: Ends it early.

    Raises:
        OptionError: Something of this is wrong; nothing has run then.
        TokenizerError: A text cannot be encoded.
        GenerationError: The model's logits are no numbers.
    """
    size, step = _checked(window, stride, model.context_length)
    if isinstance(top, bool) or not isinstance(top, int) or top < 0:
        message = f"top is {top!r:.60}, expected how many of the likeliest tokens to name"
        raise OptionError(message, name="top", value=top, expected="a whole number, 0 or more")
    texts, single = read_texts(given, context, language, model.vocab_size, bos=bos)
    verdicts = judge(
        model,
        [(*each.context, *each.tokens) for each in texts],
        size,
        step,
        [len(each.context) for each in texts],
        prefixes,
        top,
        cancel=cancel,
    )
    scores = [_record(text, each, decoder) for text, each in zip(texts, verdicts, strict=True)]
    return scores[0] if single else scores


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


def _record(scored: ScoredText, verdicts: Sequence[Verdict], decoder: TextDecoder) -> Score:
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
        logprobs=tuple(each.logprob for each in verdicts),
        nbytes=len(text.encode()) - len(skipped.encode()),
        context=scored.context,
        likeliest=tuple(each.likeliest for each in verdicts),
        top_logprobs=tuple(each.top for each in verdicts if each.top),
    )
