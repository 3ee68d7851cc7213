"""Beam search: several hypotheses at a time, the best of them kept at every step."""

from collections.abc import Iterator

from gpt2sdk import Session, Step, strategy
from gpt2sdk_strategies.hypotheses import (
    EarlyStopping,
    LengthPenalty,
    NumBeams,
    likeliest,
    search,
)


@strategy(hold=None, rewinds=False, draws=False)
def beam(
    session: Session,
    *,
    num_beams: NumBeams = 4,
    length_penalty: LengthPenalty = 1.0,
    early_stopping: EarlyStopping = False,
) -> Iterator[Step]:
    """Follow the likeliest continuations, and return the best of those that ended.

    A continuation of `n` tokens scores `sum_i log p(token_i) / n ** length_penalty`. Each step
    extends every beam by every token and looks at the `max(2, 1 + end tokens) * num_beams` best
    candidates. Those of the first `num_beams` that end there are completions; the best
    `num_beams` of those that go on are the next beams. A prompt is done when no beam can beat
    its `num_beams` best completions, by the rule of `early_stopping`.

    Tokens and scores are those of transformers' `generate(num_beams=...)`: processors are given
    log-probabilities, nothing renormalises, and ties fall as `torch.topk` over beams and
    vocabulary lets them fall. Where so much is ruled out that there are fewer continuations than
    beams, a prompt has fewer completions; transformers fills up with ruled-out ones.

    Graves, "Sequence transduction with recurrent neural networks", 2012, arXiv:1211.3711. The
    length penalty is that of Wu et al., 2016, arXiv:1609.08144, without its constant.

    Raises:
        OptionError: More completions are asked for than there are beams.
    """
    return search(
        session,
        likeliest,
        num_beams=num_beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
