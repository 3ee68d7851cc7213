"""What a draw costs on a vocabulary of GPT-2's size, beside other ways to draw.

Microseconds per call on one thread, of logits with all 50,257 tokens and of logits that a top-k
left 50. `inversion` adds up probabilities in float64, as `Multinomial` did before; `transformers`
does what its `generate` does, softmax and `torch.multinomial`, with the global generator.

    python benchmarks/bench_sampling.py [--rounds 200]
"""

import argparse
import math
from functools import partial

import torch
from record import interleave, save
from torch import Tensor

from gpt2sdk.defaults import Multinomial
from gpt2sdk.testing import make_rows

VOCAB = 50257


def inverted(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw a token for each row, by inverting its cumulative distribution four rows at a time."""
    found = []
    for part, numbers in zip(logits.split(4), uniforms.split(4), strict=True):
        reached = part.softmax(-1, dtype=torch.float64).cumsum(-1)
        found.append(torch.searchsorted(reached, numbers[:, None] * reached[:, -1:], right=True))
    return torch.cat(found)[:, 0]


def theirs(logits: Tensor) -> Tensor:
    """Draw a token for each row, as transformers does."""
    return torch.multinomial(logits.softmax(-1), num_samples=1)[:, 0]


def compare(kept: int, count: int, rounds: int) -> dict[str, object]:
    """Time each way on one number of rows."""
    generator = torch.Generator().manual_seed(count)
    logits = 3.0 * torch.randn(count, VOCAB, generator=generator)
    logits.masked_fill_(logits < logits.topk(kept).values[:, -1:], -math.inf)
    rows = make_rows([[0]] * count, purpose="multinomial")
    contestants = {
        "gpt2sdk": partial(Multinomial().choose, logits, rows),
        "inversion": lambda: inverted(logits, rows.uniform()),
        "transformers": partial(theirs, logits),
    }
    seconds = interleave(contestants, rounds)
    microseconds = {f"{who}_us": 1e6 * median for who, median in seconds.items()}
    return {"tokens": kept, "rows": count, **microseconds}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = [compare(kept, count, rounds) for kept in (VOCAB, 50) for count in (1, 8, 32)]
    save("sampling", found)


if __name__ == "__main__":
    main()
