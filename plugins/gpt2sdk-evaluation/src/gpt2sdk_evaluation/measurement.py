"""All metrics of some generations at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gpt2sdk import OptionError
from gpt2sdk_evaluation.metrics.bleu import Bleu, bleu
from gpt2sdk_evaluation.metrics.distinct_n import distinct_n
from gpt2sdk_evaluation.metrics.repetition import repetition
from gpt2sdk_evaluation.metrics.self_bleu import self_bleu
from gpt2sdk_evaluation.metrics.token_repetition import token_repetition
from gpt2sdk_evaluation.metrics.words import words


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the metrics say of some generations; NaN where the texts are too short for one.

    Attributes:
        texts: How many there are.
        words: Mean number of words of a text.
        distinct_1: Share of different words among all words.
        distinct_2: The same for pairs.
        distinct_3: The same for triples.
        repetition_4: Mean share of runs of four words that a text repeats.
        token_repetition_128: Share of words that are among the 128 before them.
        self_bleu: Mean BLEU of each text against the others; `None` for a single text.
        bleu: BLEU against references, where there are any.
    """

    texts: int
    words: float
    distinct_1: float
    distinct_2: float
    distinct_3: float
    repetition_4: float
    token_repetition_128: float
    self_bleu: float | None
    bleu: Bleu | None


def measure(
    texts: Sequence[str], references: Sequence[str | Sequence[str]] | None = None
) -> Measurement:
    """Apply every metric with its usual settings.

    Args:
        texts: Generations.
        references: What was wished for, one text or several for each generation.

    Raises:
        OptionError: There is no text, or the references do not fit.

    Example:
        >>> found = measure(["a b a b c d", "a b a b c d"])
        >>> found.words, found.distinct_2, round(found.self_bleu)
        (6.0, 0.4, 100)
    """
    if not texts:
        raise OptionError("expected one text or more, got none", name="texts")
    return Measurement(
        texts=len(texts),
        words=fmean(len(words(text)) for text in texts),
        distinct_1=distinct_n(texts, 1),
        distinct_2=distinct_n(texts, 2),
        distinct_3=distinct_n(texts, 3),
        repetition_4=repetition(texts, 4),
        token_repetition_128=token_repetition(texts, 128),
        self_bleu=self_bleu(texts) if len(texts) > 1 else None,
        bleu=None if references is None else bleu(texts, references),
    )
