"""Stochastic beam search: different completions, drawn without replacement."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Session, Step, strategy
from gpt2sdk_strategies.hypotheses import NumBeams, first
from gpt2sdk_strategies.wanted import check_wanted


@strategy(hold=None, rewinds=False, chooses=False)
def stochastic_beam(session: Session, *, num_beams: NumBeams = 4) -> Iterator[Step]:
    """Draw `num_beams` different completions, each in proportion to its probability.

    The first is drawn with the probabilities of `sample`, the second with the same ones among all
    others, and so on. No two completions have the same tokens. They come in the order of the draw,
    of which the first `num_return_sequences` are returned.

    Each completion `y` has a number `G(y) = log p(y) + Gumbel noise`, and the completions with the
    largest numbers are found from above: a beginning's number is the largest of those of its
    completions. So a beginning's continuations get Gumbel numbers around their log-probabilities,
    conditioned on the largest being the beginning's own; and a beam follows the `num_beams`
    largest, finished ones among them.

    `p` is the processed distribution, normalised at each step. A completion's score is its `G`;
    `logprobs=0` gives `log p` as `processed_logprobs`. With both, a mean over all completions is
    estimated without bias: weigh each but the last by `p(y) / (1 - exp(-exp(log p(y) - k)))`, where
    `k` is the score of the last.

    Kool, van Hoof and Welling, "Stochastic beams and where to find them", 2019, arXiv:1903.06059.
    We draw the number of the empty beginning, too, so that all are Gumbel numbers unconditionally;
    the paper's algorithm sets it to 0.

    Raises:
        OptionError: More completions are asked for than are drawn.
    """
    check_wanted(session, num_beams, "num_beams", "completions are drawn")
    ids = torch.arange(session.model.vocab_size, device=session.device)
    noise = -(-session.uniform("stochastic_beam/root").log()).log()
    totals = torch.zeros(len(session.rows), 1, dtype=torch.float64, device=session.device)
    numbers = noise.view_as(totals)
    while session.running:
        logprobs = session.process(session.next_logits()).double().log_softmax(-1)
        over = session.rows.finished.view(*totals.shape, 1)
        lost = [row.failure is not None for row in session.rows.records]
        numbers[torch.tensor(lost, device=session.device).view_as(numbers)] = -torch.inf
        spread = totals[:, :, None] + logprobs.view(*totals.shape, -1)
        times = session.rows.exponentials(ids, "stochastic_beam").double()
        perturbed = conditioned(spread - times.log().view_as(spread), numbers)
        # A finished completion is its own only continuation.
        stays = over & (ids == 0)
        perturbed = perturbed.masked_fill(over, -torch.inf)
        perturbed = torch.where(stays, numbers[:, :, None], perturbed)
        spread = torch.where(stays, totals[:, :, None], spread)
        numbers, totals, parents, tokens = first(perturbed, spread, num_beams)

        session.fork(parents.flatten())
        session.finish(numbers.flatten().isinf().nonzero()[:, 0])
        step = session.append(tokens.flatten())
        open_prompts = ~session.rows.finished.view_as(totals).all(1)
        drawn = numbers.isfinite() & ~open_prompts[:, None]
        session.submit(drawn.flatten().nonzero()[:, 0].tolist(), numbers[drawn].tolist())
        places = torch.arange(totals.numel(), device=session.device).view_as(totals)
        session.fork(places[open_prompts].flatten())
        totals, numbers = totals[open_prompts], numbers[open_prompts]
        yield step


def conditioned(
    numbers: Float[Tensor, "prompts beams vocab"], largest: Float[Tensor, "prompts beams"]
) -> Float[Tensor, "prompts beams vocab"]:
    """Shift independent Gumbel numbers so that the largest of each beam is a given one.

    With `Z` the largest and `T` the given one, `G` becomes
    `-log(exp(-T) - exp(-Z) + exp(-G))`, computed without loss of digits. The order stays.

    >>> conditioned(torch.tensor([[[2.0, 1.0, -torch.inf]]]), torch.tensor([[0.5]]))
    tensor([[[0.5000, 0.1755,   -inf]]])
    """
    top = numbers.amax(-1, keepdim=True)
    gap = numbers - top
    # log(1 - exp(gap)), by the form that is exact where gap is near 0, or far from it.
    near = (-gap.expm1()).log()
    far = (-gap.exp()).log1p()
    shift = largest[..., None] - numbers + torch.where(gap > -0.693, near, far)
    shifted = largest[..., None] - shift.relu() - (-shift.abs()).exp().log1p()
    return shifted.where(numbers.isfinite(), -torch.inf)
