"""Steer text towards a soft wish with a particle filter: append, weigh, fork.

It draws from the model's distribution times exp(strength * how often the text has the wish).
Run it: python examples/06_particle_filter.py [MODEL]
"""

import math
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from gpt2sdk import Generator, Session, Step, strategy
from gpt2sdk.testing import save_tiny_model


@strategy(hold=None)
def particle_filter(
    session: Session, *, wish: str, strength: float = 1.0, particles: int = 32
) -> Iterator[Step]:
    """Give each particle's log share of the evidence as its score; the shares add up to it."""
    shape = len(session.rows), particles
    places = torch.arange(shape[0] * particles).view(shape)
    session.fork(places.flatten() // particles)
    scores = torch.full(shape, -math.log(particles), dtype=torch.float64)
    while session.running:
        before = torch.tensor([text.count(wish) for text in session.texts()])
        yield session.append(session.choose(session.process(session.next_logits())))
        after = torch.tensor([text.count(wish) for text in session.texts()])
        scores += strength * (after - before).view(shape)
        growing = torch.tensor([reason is None for reason in session.rows.finish_reason])
        # A row that grows has a number not used before; a finished one may have its last again.
        first = growing.view(shape).int().argmax(1, keepdim=True)
        uniforms = session.uniform("resample").cpu().view(shape).gather(1, first)
        unfinished = growing.view(shape).any(1, keepdim=True)
        parents = places[:, :1] + systematic(scores.softmax(1), uniforms)
        session.fork(parents.where(unfinished, places).flatten())
        even = scores.logsumexp(1, keepdim=True) - math.log(particles)
        scores = even.where(unfinished, scores)
    session.submit(range(len(session.rows)), scores.flatten().tolist())


def systematic(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Choose parents: of n particles, one of weight w has n*w children, rounded up or down."""
    count = weights.shape[1]
    points = (uniforms + torch.arange(count)) / count
    return torch.searchsorted(weights.cumsum(1), points, right=True).clamp(max=count - 1)


def main() -> None:
    """Wish for exclamation marks, more and more."""
    with TemporaryDirectory() as folder:
        if not sys.argv[1:]:
            print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
            save_tiny_model(folder)
        gen = Generator.from_pretrained(*sys.argv[1:] or [folder])
    every = {"particles": 64, "num_return_sequences": 64, "max_new_tokens": 15, "seed": 7}
    for strength in (0.0, 1.0, 2.0):
        result = gen.generate(
            ["Once", "Twice"], strategy=particle_filter, wish="!", strength=strength, **every
        )
        scores = torch.tensor([each.score for each in result.completions]).view(2, -1)
        marks = torch.tensor([text.count("!") for text in result.texts]).view(2, -1)
        mean = (scores.softmax(1) * marks).sum(1).tolist()
        evidence = scores.logsumexp(1).tolist()
        print(f"strength={strength}: {mean} marks on average, log evidence {evidence}")


if __name__ == "__main__":
    main()
