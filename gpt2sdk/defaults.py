"""What the core ships to decide the next token: two strategies and two plain samplers."""

from collections.abc import Iterator

import torch
from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.session import Session, Step
from gpt2sdk.components.strategy import StrategyFunction, strategy
from gpt2sdk.hookspecs import hookimpl
from gpt2sdk.shapes import Logits, Tokens, Uniforms

# Float64 copies of a few rows stay in a core's cache; those of many are paged in anew each step.
_ROWS_AT_A_TIME = 4


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
        return logits.argmax(-1)


class Multinomial(Sampler):
    """Draws a token with its probability, by inverting the cumulative distribution.

    With `p = softmax(logits)` and `C_i = p_0 + … + p_i`, both in float64 and vocabulary order,
    the token is the first `i` with `C_i > u · C_last`; `u` in [0, 1) is the row's own uniform
    number. A token of probability zero is never drawn, and nothing waits for the device.

    Probabilities 1/2, 1/4, 1/4 end at 0.5, 0.75 and 1; this row's number is 0.586:

    >>> import torch
    >>> from gpt2sdk.testing import make_rows
    >>> row = make_rows([[5]], seed=7, purpose="multinomial")
    >>> round(row.uniform().item(), 3)
    0.586
    >>> Multinomial().choose(torch.tensor([[0.5, 0.25, 0.25]]).log(), row).tolist()
    [1]
    """

    @override
    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        uniforms = rows.uniform()
        parts = [
            slice(start, start + _ROWS_AT_A_TIME) for start in range(0, len(rows), _ROWS_AT_A_TIME)
        ]
        return torch.cat([_invert(logits[part], uniforms[part]) for part in parts])


def _invert(logits: Logits, uniforms: Uniforms) -> Tokens:
    """Draw a token for each row by inverting its cumulative distribution.

    Probabilities 0.5, 0, 0.5: numbers below 0.5 give token 0, others token 2.

    >>> logits = torch.tensor([[0.5, 0.0, 0.5]] * 3).log()
    >>> _invert(logits, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)).tolist()
    [0, 2, 2]
    """
    probabilities = torch.softmax(logits, -1, dtype=torch.float64)
    cumulative = probabilities.cumsum(-1)
    total = cumulative[:, -1:]
    # `u · total` may round to `total`, which no cumulative probability exceeds.
    target = torch.minimum(uniforms[:, None] * total, torch.nextafter(total, total - 1))
    token = torch.searchsorted(cumulative, target, right=True)
    # Accelerators add in parallel: a sum may grow in its last bit where a probability is zero.
    ruled_out = probabilities.gather(-1, token) == 0
    return torch.where(ruled_out, logits.argmax(-1, keepdim=True), token).squeeze(-1)


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
    return sample, greedy, Greedy, Multinomial
