"""How often rounding changes what is drawn: with every kind of weights, and every way to score.

The storyteller writes 16 tales of 125 tokens. All 2,000 positions are scored again in the ways in
which a row may come to its logits, and 500 tokens are drawn at each position with each way's
logits and the same random numbers. A flip is a draw that gives another token than alone.

alone           the row by itself, a token at a time
batch 16        all tales together, a token at a time
drafter         the row by itself, eight tokens at a time, as where a drafter proposes
identity patch  alone, through the model's modules, one of which is patched by what changes nothing

`flips_per_million` is of draws in a race, as the product's; `in_vocabulary_order` is of draws that
invert the cumulative distribution, which it did before.

    python benchmarks/bench_flips.py [--weights float32 int8] [--keys 500]
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from bench_quantized import loaded, recipes
from record import save
from torch import Tensor

from gpt2sdk import Generator
from gpt2sdk.race import exponentials, keys, race
from gpt2sdk.rng import purpose_key

TALES, NEW, AT_ONCE = 16, 125, 8
WEIGHTS = ("float32", "bfloat16", "int8", "int4", "bnb-int8", "bnb-nf4")
WAYS = ("batch 16", "drafter", "identity patch")
PURPOSE = purpose_key("multinomial")
# Of scores in float32, which are below 64.
ROUNDING = 2e-5
Tales = Sequence[tuple[list[int], list[int]]]
Row = dict[str, object]


def write_tales() -> Tales:
    """Return each tale's prompt and what the model wrote, in float32."""
    gen = Generator.from_pretrained("storyteller", device="cpu")
    prompts = [f"The king number {number} said" for number in range(TALES)]
    made = gen.generate(prompts, max_new_tokens=NEW, eos_token_id=None, seed=3)
    return [
        (gen.tokenizer.encode(prompt), list(completion.tokens))
        for prompt, completion in zip(prompts, made.completions, strict=True)
    ]


def score(gen: Generator, tales: Tales, at_once: int) -> Tensor:
    """Score each position of the new tokens: prompts, then so many tokens a call.

    Returns:
        Logits `[tales, positions, vocab]`.
    """
    cache = gen.model.make_cache(len(tales))
    found = [gen.model.score(cache, [prompt for prompt, _ in tales], [1] * len(tales)).logits]
    parts = [found[0][:, None]]
    for start in range(0, NEW - 1, at_once):
        fed = [new[start : min(start + at_once, NEW - 1)] for _, new in tales]
        scores = gen.model.score(cache, fed, [len(each) for each in fed]).logits
        parts.append(scores.view(len(tales), len(fed[0]), -1))
    return torch.cat(parts, 1)


def ways(gen: Generator, tales: Tales) -> dict[str, Tensor]:
    """Score the tales in every way: logits `[positions, vocab]`."""

    def by_itself(at_once: int) -> Tensor:
        return torch.cat([score(gen, [tale], at_once) for tale in tales])

    logits = {
        "alone": by_itself(1),
        "batch 16": score(gen, tales, 1),
        "drafter": by_itself(AT_ONCE),
    }
    with gen.model.patch("h.3", lambda hidden: hidden):
        logits["identity patch"] = by_itself(1)
    return {way: each.flatten(0, 1) for way, each in logits.items()}


def raced(logits: dict[str, Tensor], position: int, count: int) -> dict[str, int]:
    """Race at one position, each time with another seed, and count each way's flips.

    A draw flips only where the winner is ahead of the second by no more than the logits differ:
    only those are raced again.
    """
    seeds = torch.arange(count)
    made = keys(seeds, torch.zeros_like(seeds), torch.full_like(seeds, position), PURPOSE)
    alone = logits["alone"][position]
    numbers = exponentials(made, torch.arange(len(alone))[None])
    best = (alone - alone.amax() - numbers.log_()).topk(2)
    ahead, winners = best.values[:, 0] - best.values[:, 1], best.indices[:, 0]
    found = {}
    for way in WAYS:
        other = logits[way][position]
        change = other - alone
        close = (ahead <= change.amax() - change.amin() + ROUNDING).nonzero()[:, 0]
        drawn = race(other.expand(len(close), -1), made[close])
        found[way] = int((drawn != winners[close]).sum())
    return found


def inverted(logits: dict[str, Tensor], position: int, count: int) -> dict[str, int]:
    """Add up probabilities, in float64, until they exceed a number's part; count the flips."""
    generator = torch.Generator().manual_seed(position)
    uniforms = torch.rand(count, dtype=torch.float64, generator=generator)

    def draw(way: str) -> Tensor:
        reached = logits[way][position].softmax(-1, dtype=torch.float64).cumsum(-1)
        return torch.searchsorted(reached, uniforms * reached[-1], right=True)

    expected = draw("alone")
    return {way: int((draw(way) != expected).sum()) for way in WAYS}


def flips(
    count_flips: Callable[[dict[str, Tensor], int, int], dict[str, int]],
    logits: dict[str, Tensor],
    count: int,
) -> dict[str, float]:
    """Return each way's flips in a million draws."""
    found: Counter[str] = Counter()
    positions = len(logits["alone"])
    for position in range(positions):
        found.update(count_flips(logits, position, count))
    return {way: 1e6 * found[way] / (positions * count) for way in WAYS}


def measure(weights: str, tales: Tales, count: int) -> list[Row]:
    """Compare the ways with one kind of weights."""
    with torch.inference_mode():
        logits = ways(loaded("storyteller", weights, "cpu"), tales)
        in_race, in_order = flips(raced, logits, count), flips(inverted, logits, count)
    rows: list[Row] = []
    for way in WAYS:
        change = logits[way] - logits["alone"]
        # What is added to all logits changes nothing.
        change = change - change.mean(-1, keepdim=True)
        rows.append(
            {
                "weights": weights,
                "way": way,
                "logits_differ_by": float(change.pow(2).mean().sqrt()),
                "flips_per_million": in_race[way],
                "in_vocabulary_order": in_order[way],
                "draws": count * len(change),
            }
        )
    return rows


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", nargs="+", default=WEIGHTS, choices=recipes())
    parser.add_argument("--keys", type=int, default=500)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tales = write_tales()
    save("flips", [row for each in given.weights for row in measure(each, tales, given.keys)])


if __name__ == "__main__":
    main()
