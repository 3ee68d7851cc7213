"""BLEU: how much texts have in common with the ones that were wished for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sacrebleu.metrics.bleu import BLEU

from gpt2sdk import OptionError


@dataclass(frozen=True, slots=True)
class Bleu:
    """A BLEU score.

    Attributes:
        score: 0, nothing in common, to 100.
        precisions: The share of n-grams, n = 1 to 4, that a reference has too, 0 to 100.
        brevity_penalty: What the score was multiplied with for texts that are too short, 0 to 1.
        signature: How it was computed, as sacrebleu writes it; to be published with the score.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    signature: str


def bleu(texts: Sequence[str], references: Sequence[str | Sequence[str]]) -> Bleu:
    """Compare texts with references, as a corpus.

    `BLEU = BP · exp(mean of log p_n, n = 1 … 4)`, with `BP = exp(1 − r / c)` for texts of c words
    that are shorter than their references' r. Computed by sacrebleu with its defaults: its
    13a words, not what blanks separate, case kept, exponential smoothing.

    Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of machine
    translation", 2002, doi:10.3115/1073083.1073135; Post, "A call for clarity in reporting BLEU
    scores", 2018, arXiv:1804.08771.

    Args:
        texts: Generations.
        references: What was wished for, one text or several for each generation.

    Raises:
        OptionError: There is no text, or not one entry of references for each; or an entry is
            empty.

    Example:
        All but the last word is right: of 5 words 4, of 4 pairs 3, of 3 triples 2, of 2 runs of
        four 1; (4/5 · 3/4 · 2/3 · 1/2)^¼ = 0.6687.

        >>> score = bleu(["a b c d x"], ["a b c d e"])
        >>> round(score.score, 2), score.brevity_penalty
        (66.87, 1.0)
    """
    listed = [[each] if isinstance(each, str) else list(each) for each in references]
    if not texts or len(texts) != len(listed) or not all(listed):
        raise OptionError(
            f"expected texts and one reference or more for each of them, got {len(texts)} texts "
            f"and {sum(map(bool, listed))} references",
            name="references",
        )
    metric = BLEU()
    # sacrebleu wants every text's first reference, then every text's second one, None for none.
    found = metric.corpus_score(texts, list(zip_longest(*listed)))
    precisions = tuple(map(float, found.precisions))
    return Bleu(found.score, precisions, found.bp, str(metric.get_signature()))
