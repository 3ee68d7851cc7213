"""Steer text by second thoughts: rewind, regrow, and accept or put back (Metropolis-Hastings).

It draws from the model's distribution times exp(strength * how often the text has the wish).
Run it: python examples/07_metropolis_hastings.py [MODEL]
"""

import sys
from collections.abc import Iterator
from itertools import zip_longest

import torch

from gpt2sdk import Generator, Session, Step, sample, strategy


@strategy(hold=None)
def metropolis_hastings(
    session: Session, *, wish: str, strength: float = 1.0, moves: int = 50
) -> Iterator[Step]:
    """Complete with the last states of each prompt's chain; a score is the number of the move."""
    yield from sample(session)
    for move in range(moves):
        old, wishes = look(session, wish)
        uniforms = session.uniform("cut").tolist()
        kept = [int(number * len(row)) for number, row in zip(uniforms, old, strict=True)]
        session.rewind([len(row) - keep for row, keep in zip(old, kept, strict=True)])
        yield from sample(session)
        new, fulfilled = look(session, wish)
        # A text of n tokens can be cut in n places, so the way to a longer one is the likelier.
        cuts = torch.tensor([len(a) / len(b) for a, b in zip(old, new, strict=True)])
        chances = cuts * torch.exp(strength * (fulfilled - wishes))
        refused = (session.uniform("accept").cpu() >= chances).tolist()
        rows = list(zip(old, new, kept, refused, strict=True))
        session.rewind([(len(b) - keep) * refuse for _, b, keep, refuse in rows])
        tails = [a[keep:] * refuse for a, _, keep, refuse in rows]
        for tokens in zip_longest(*tails, fillvalue=-1):
            yield session.append(tokens)
        if move >= moves - session.num_return_sequences:
            session.submit(range(len(rows)), [float(move)] * len(rows))


def look(session: Session, wish: str) -> tuple[list[list[int]], torch.Tensor]:
    """Return each row's new tokens, and how often its text has the wish."""
    lengths = session.rows.prompt_lengths.tolist()
    new = [row[at:] for row, at in zip(session.rows.histories(), lengths, strict=True)]
    return new, torch.tensor([text.count(wish) for text in session.texts()])


if __name__ == "__main__":
    gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
    prompts = ["Once upon a time", "The king"]
    call = {"strategy": metropolis_hastings, "wish": "o", "strength": 3.0, "seed": 7}
    for moves in (1, 10, 40):
        result = gen.generate(prompts, moves=moves, max_new_tokens=15, **call)
        print(f"After {moves} moves:")
        for text in result.texts:
            print(f"  an o {text.count('o')} times in {text!r}")
