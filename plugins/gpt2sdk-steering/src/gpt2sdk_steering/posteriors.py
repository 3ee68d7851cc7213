"""The posterior that weighted completions stand for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpt2sdk import Completion, OptionError, Result


@dataclass(frozen=True, slots=True)
class Posterior:
    """Texts with their probabilities, as particles estimate them.

    Attributes:
        completions: The completions, the heaviest first.
        probs: The weight of each, normalised.
        log_evidence: The logarithm of the estimated normalising constant.
    """

    completions: tuple[Completion, ...]
    probs: tuple[float, ...]
    log_evidence: float

    @property
    def texts(self) -> Mapping[str, float]:
        """The probability of each different text, the likeliest first."""
        found: dict[str, float] = {}
        for completion, prob in zip(self.completions, self.probs, strict=True):
            found[completion.text] = found.get(completion.text, 0.0) + prob
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    def mean(self, function: Callable[[str], float]) -> float:
        """The expectation of a function of the text."""
        return math.fsum(prob * function(text) for text, prob in self.texts.items())


def posterior(result: Result, prompt_index: int = 0) -> Posterior:
    """Read the scores of `smc`, `awrs` or `particle_gibbs` as weights.

    The evidence is that of all particles if as many completions were asked for.

    Args:
        result: What the call returned.
        prompt_index: Whose completions are meant.

    Raises:
        OptionError: The prompt has no completion with a score.

    Example:
        >>> from gpt2sdk import Completion, Result
        >>> ends = [
        ...     Completion(text, (), 0, 0, "length", score=s)
        ...     for text, s in [("a", 0.0), ("b", 0.0)]
        ... ]
        >>> found = posterior(Result(tuple(ends)))
        >>> found.texts, round(math.exp(found.log_evidence))
        ({'a': 0.5, 'b': 0.5}, 2)
    """
    scored = [
        (each, each.score)
        for each in result.completions
        if each.prompt_index == prompt_index and each.score is not None
    ]
    if not scored:
        raise OptionError(
            f"prompt {prompt_index} has no completion with a score: expected the result of smc, "
            "awrs or particle_gibbs, in which some particle has weight",
            name="prompt_index",
            value=prompt_index,
        )
    peak = max(score for _, score in scored)
    shares = [math.exp(score - peak) for _, score in scored]
    total = math.fsum(shares)
    return Posterior(
        tuple(each for each, _ in scored),
        tuple(share / total for share in shares),
        peak + math.log(total),
    )
