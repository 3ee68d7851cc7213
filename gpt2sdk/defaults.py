"""What the core ships: two strategies, two plain samplers, GPT-2, and what runs it."""

from collections.abc import Iterator

from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.session import Session, Step
from gpt2sdk.components.strategy import StrategyFunction, strategy
from gpt2sdk.hookspecs import hookimpl
from gpt2sdk.race import best
from gpt2sdk.shapes import Logits, Tokens


class Greedy(Sampler):
    """Picks the likeliest token: `argmax(logits)`, the lowest id on ties.

    >>> import torch
    >>> from gpt2sdk.testing import make_rows
    >>> logits = torch.tensor([[0.1, 2.0, 2.0], [0.0, -1.0, 3.0]])
    >>> Greedy().choose(logits, make_rows([[5], [6]])).tolist()
    [1, 2]
    """

    @override
    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        return best(logits)


class Multinomial(Sampler):
    """Draws a token with its probability, in an exponential race.

    With `p = softmax(logits)`, the token is the `i` of the least `E_i / p_i`, the lowest id on
    ties; the `E_i` are the row's own exponential numbers, one for each id, so that other tokens
    that are ruled out, and rounding, seldom change what is drawn. A token of probability zero
    never is. See `Rows.race`.

    Of probabilities 1/2, 1/4, 1/4 the third is drawn, its `E / p` being the least:

    >>> import torch
    >>> from gpt2sdk.testing import make_rows
    >>> row, p = make_rows([[5]], seed=7, purpose="multinomial"), torch.tensor([0.5, 0.25, 0.25])
    >>> row.exponentials([0, 1, 2]) / p
    tensor([[2.1099, 6.7049, 1.0091]])
    >>> Multinomial().choose(p.log()[None], row).tolist()
    [2]
    """

    @override
    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        return rows.race(logits)


@strategy(rows_independent=True)
def sample(session: Session) -> Iterator[Step]:
    """Draw one token after another from the processed distribution."""
    while session.running:
        yield session.append(session.choose(session.process(session.next_logits())))


@strategy(rows_independent=True, draws=False)
def greedy(session: Session) -> Iterator[Step]:
    """Take the likeliest token of the processed distribution, again and again.

    It is `sample` with the greedy sampler, whatever sampler the call has: so another strategy
    may go on greedily with `yield from greedy(session)`.
    """
    sampler = Greedy()
    while session.running:
        logits = session.process(session.next_logits())
        yield session.append(sampler.choose(logits, session.rows))


@hookimpl
def gpt2sdk_components() -> tuple[type[Component] | StrategyFunction[[]], ...]:
    """Return the core's own components."""
    from gpt2sdk.gpt2.architecture import GPT2Architecture
    from gpt2sdk.gpt2.torch_runner import TorchRunner

    return sample, greedy, Greedy, Multinomial, GPT2Architecture, TorchRunner
