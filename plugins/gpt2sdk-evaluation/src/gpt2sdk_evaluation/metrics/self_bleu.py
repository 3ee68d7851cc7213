"""Self-BLEU: how much texts have in common with each other."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from gpt2sdk import OptionError
from gpt2sdk_evaluation.metrics.words import ngrams

Ngram = tuple[Hashable, ...]


def self_bleu(texts: Sequence[str], max_order: int = 4) -> float:
    """Return the mean BLEU of each text with all the others as its references.

    High where all texts say the same, low where they differ: the less, the more diverse.

    Zhu, Lu, Zheng, Guo, Zhang, Wang and Yu, "Texygen: a benchmarking platform for text generation
    models", 2018, arXiv:1802.01886. Equal to sacrebleu's sentence BLEU with effective order, in
    its units of 0 to 100 and with its 13a words and exponential smoothing. The n-grams of all
    references are counted together, so the work grows with the amount of text, not its square.

    Args:
        texts: Generations, two or more.
        max_order: Longest n-grams that are compared, 1 or more. A text too short for them is
            judged by those it has.

    Raises:
        OptionError: There are fewer than two texts, or `max_order` is less than 1.

    Example:
        Equal texts have everything in common; in the second case, three words of four:

        >>> round(self_bleu(["a b c d", "a b c d"]), 6)
        100.0
        >>> round(self_bleu(["a b c d", "c b a x"], max_order=1), 6)
        75.0
    """
    if len(texts) < 2:
        raise OptionError(f"expected two texts or more, got {len(texts)}", name="texts")
    if max_order < 1:
        raise OptionError(
            f"max_order is a number of words, 1 or more; got {max_order}",
            name="max_order",
            value=max_order,
        )
    cut = Tokenizer13a()  # type: ignore[no-untyped-call]
    found = [cut(text.rstrip()).split() for text in texts]
    counts = [_counts(words, max_order) for words in found]
    most = _two_most(counts)
    lengths = Counter(map(len, found))
    return fmean(
        _score(own, most, len(words), _nearest(lengths, len(words)), max_order)
        for own, words in zip(counts, found, strict=True)
    )


def _counts(words: Sequence[str], max_order: int) -> Counter[Ngram]:
    return Counter(ngram for n in range(1, max_order + 1) for ngram in ngrams(words, n))


def _two_most(counts: Sequence[Mapping[Ngram, int]]) -> dict[Ngram, tuple[int, int]]:
    """Return how often each n-gram is in the text that has it most often, and in the next one.

    >>> _two_most([{("a",): 3}, {("a",): 1}, {("a",): 2, ("b",): 1}])
    {('a',): (3, 2), ('b',): (1, 0)}
    """
    most: dict[Ngram, tuple[int, int]] = {}
    for own in counts:
        for ngram, count in own.items():
            first, second = most.get(ngram, (0, 0))
            most[ngram] = (max(first, count), max(second, min(first, count)))
    return most


def _score(
    own: Mapping[Ngram, int],
    most: Mapping[Ngram, tuple[int, int]],
    length: int,
    reference_length: int,
    max_order: int,
) -> float:
    """Return one text's BLEU against all others."""
    correct, total = [0] * max_order, [0] * max_order
    for ngram, count in own.items():
        first, second = most[ngram]
        total[len(ngram) - 1] += count
        # Whoever has an n-gram most often is judged by the next one.
        correct[len(ngram) - 1] += min(count, second if count == first else first)
    found = BLEU.compute_bleu(
        correct,
        total,
        length,
        reference_length,
        smooth_method="exp",
        effective_order=True,
        max_ngram_order=max_order,
    )
    return found.score


def _nearest(lengths: Counter[int], own: int) -> int:
    """Return the length of the other text that is nearest in length, the shorter one of two.

    >>> _nearest(Counter([5, 9, 7, 5]), 7)
    5
    """
    return min(lengths - Counter([own]), key=lambda length: (abs(length - own), length))
