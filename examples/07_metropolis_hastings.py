"""Steer text by second thoughts: rewind, regrow, and accept or put back (Metropolis-Hastings).

It draws from the model's distribution times exp(strength * how often the text has the wish).
Run it: python examples/07_metropolis_hastings.py [MODEL]
"""

import sys
from collections.abc import Iterator
from itertools import zip_longest
from tempfile import TemporaryDirectory

import torch

from gpt2sdk import Generator, Session, Step, sample, strategy
from gpt2sdk.testing import save_tiny_model


@strategy(hold=None)
def metropolis_hastings(
    session: Session, *, wish: str, strength: float = 1.0, moves: int = 50
) -> Iterator[Step]:
    """Complete the last `num_return_sequences` states of the chain; the score is the move."""
    yield from sample(session)
    for move in range(moves):
        old, wishes = look(session, wish)
        kept = [int(u * len(row)) for u, row in zip(session.uniform("cut"), old, strict=True)]
        session.rewind([len(row) - keep for row, keep in zip(old, kept, strict=True)])
        yield from sample(session)
        new, fulfilled = look(session, wish)
        # A text of n tokens has n places to cut it, and is cut here with probability 1/n.
        cuts = torch.tensor([len(a) / len(b) for a, b in zip(old, new, strict=True)])
        chance = torch.exp(strength * (fulfilled - wishes)) * cuts
        refused = (session.uniform("accept").cpu() >= chance).tolist()
        rows = list(zip(old, new, kept, refused, strict=True))
        session.rewind([len(b) - keep if refuse else 0 for _, b, keep, refuse in rows])
        tails = [a[keep:] if refuse else [] for a, _, keep, refuse in rows]
        for tokens in zip_longest(*tails, fillvalue=-1):
            yield session.append(tokens)
        if move >= moves - session.num_return_sequences:
            session.submit(range(len(rows)), [move] * len(rows))


def look(session: Session, wish: str) -> tuple[list[list[int]], torch.Tensor]:
    """Return each row's new tokens, and how often its text has the wish."""
    lengths = session.rows.prompt_lengths.tolist()
    new = [row[at:] for row, at in zip(session.rows.histories(), lengths, strict=True)]
    return new, torch.tensor([text.count(wish) for text in session.texts()])


def main() -> None:
    """Wish for exclamation marks."""
    with TemporaryDirectory() as folder:
        if not sys.argv[1:]:
            print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
            save_tiny_model(folder)
        gen = Generator.from_pretrained(*sys.argv[1:] or [folder])
    options = {"wish": "!", "strength": 2.0, "max_new_tokens": 15, "seed": 7}
    for moves in (1, 30, 300):
        options["moves"] = moves
        texts = gen.generate(["Once", "Twice"], strategy=metropolis_hastings, **options).texts
        print(f"After {moves} moves: {texts}")


if __name__ == "__main__":
    main()
