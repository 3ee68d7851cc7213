"""Steer text towards a soft wish with a particle filter: append, weigh, fork.

It draws from the model's distribution times exp(strength * how often the text has the wish).
Run it: python examples/06_particle_filter.py [MODEL]
"""

import math
import sys
from collections.abc import Iterator

import torch

from gpt2sdk import Generator, Session, Step, strategy


@strategy(hold=None)
def particle_filter(
    session: Session, *, wish: str, strength: float = 1.0, particles: int = 32
) -> Iterator[Step]:
    """Score each particle with the log of its share of the evidence; the shares add up to it."""
    places = torch.arange(len(session.rows) * particles).view(-1, particles)
    session.fork(places.flatten() // particles)
    scores = torch.full(places.shape, -math.log(particles), dtype=torch.float64)
    while session.running:
        before = torch.tensor([text.count(wish) for text in session.texts()])
        yield session.append(session.choose(session.process(session.next_logits())))
        after = torch.tensor([text.count(wish) for text in session.texts()])
        scores += strength * (after - before).view_as(scores)
        growing = ~session.rows.finished.cpu().view_as(scores)
        # Rows that grow have numbers not used before; finished ones may have their last again.
        grower = growing.int().argmax(1, keepdim=True)
        uniforms = session.uniform("resample").cpu().view_as(scores).gather(1, grower)
        # Systematic resampling: of n particles, one of weight w has n * w children, or nearly.
        points = (uniforms + torch.arange(particles)) / particles
        found = torch.searchsorted(scores.softmax(1).cumsum(1), points, right=True)
        parents = places.gather(1, found.clamp(max=particles - 1))
        unfinished = growing.any(1, keepdim=True)
        session.fork(parents.where(unfinished, places).flatten())
        even = scores.logsumexp(1, keepdim=True) - math.log(particles)
        scores = even.where(unfinished, scores)
    session.submit(range(len(session.rows)), scores.flatten().tolist())


if __name__ == "__main__":
    gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
    call = {"strategy": particle_filter, "wish": "o", "particles": 64, "num_return_sequences": 64}
    for strength in (0.0, 1.0, 3.0):
        result = gen.generate(
            "Once upon a time", strength=strength, max_new_tokens=20, seed=7, **call
        )
        scores = torch.tensor([each.score for each in result.completions])
        found = torch.tensor([text.count("o") for text in result.texts])
        mean, evidence = (scores.softmax(0) * found).sum(), scores.logsumexp(0)
        print(f"strength={strength}: an o {mean:.2f} times, log evidence {evidence:.2f};")
        print(f"  the heaviest particle: {result.texts[0]!r}")
