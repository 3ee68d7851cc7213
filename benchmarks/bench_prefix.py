"""Prompts that begin alike, with a prefix cache and without.

A conversation whose prompt is all that was said so far; one long beginning with many questions
behind it, asked one after another, at once, and of `choose`; prompts that have nothing in common,
for what keeping them costs; and samples of one long prompt, whose shares of it are copied. Seconds
are those of the processor, on one thread: others may use the machine meanwhile.

    python benchmarks/bench_prefix.py [--model 124M] [--runner native] [--rounds 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from random_model import SIZES, write_random_model
from record import save

from gpt2sdk import Generator
from gpt2sdk.session.prefix_cache import PrefixCache

FIXED = {"strategy": "greedy", "eos_token_id": None}
TURNS, SAID, ANSWERED = 10, 40, 40
SHOTS, QUESTIONS, ASKED = 400, 24, 8


@dataclass
class Work:
    """Token prompts, made of the same numbers for whoever is asked."""

    vocab_size: int

    def tokens(self, seed: int, count: int) -> list[int]:
        """Return random tokens."""
        chance = torch.Generator().manual_seed(seed)
        return torch.randint(1, self.vocab_size - 1, [count], generator=chance).tolist()

    def conversation(self, gen: Generator, new: int = ANSWERED) -> int:
        """Answer turns of which each goes on from all before; returns the tokens that were fed."""
        said: list[int] = []
        fed = 0
        for turn in range(TURNS):
            said += self.tokens(turn, SAID)
            result = gen.generate(said, max_new_tokens=new, **FIXED)
            said += result.completions[0].tokens
            fed += result.usage.tokens_fed
        return fed

    def first_tokens(self, gen: Generator) -> int:
        """Write no more than the first token of each answer."""
        return self.conversation(gen, 1)

    def questions(self, first: int = 0) -> list[list[int]]:
        """Return prompts that begin with the same shots."""
        shots = self.tokens(1000, SHOTS)
        return [[*shots, *self.tokens(first + number, ASKED)] for number in range(QUESTIONS)]

    def one_by_one(self, gen: Generator) -> int:
        """Ask one after another."""
        asked = self.questions()
        return sum(gen.generate(each, max_new_tokens=4, **FIXED).usage.tokens_fed for each in asked)

    def at_once(self, gen: Generator) -> int:
        """Ask all in one call."""
        return gen.generate(self.questions(), max_new_tokens=4, **FIXED).usage.tokens_fed

    def choosing(self, gen: Generator) -> int:
        """Choose an option behind each question, one call for each."""
        for each in self.questions():
            gen.choose(each, [[5], [6], [7, 8]])
        return 0

    def strangers(self, gen: Generator) -> int:
        """Prompts that have nothing in common."""
        prompts = [self.tokens(2000 + number, 100) for number in range(8)]
        return sum(
            gen.generate(each, max_new_tokens=16, **FIXED).usage.tokens_fed for each in prompts
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="124M", help="a size such as 124M has random weights")
    parser.add_argument("--runner", default="native")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    gen = loaded(given.model, given.runner)
    work = Work(gen.model.vocab_size)
    kinds = {
        "conversation of 10 turns of 40 + 40 tokens": work.conversation,
        "10 turns of 40 + 1 tokens": work.first_tokens,
        "24 questions behind 400 tokens, one by one": work.one_by_one,
        "24 questions behind 400 tokens, at once": work.at_once,
        "choose behind 400 tokens, 24 times": work.choosing,
        "8 prompts with nothing in common": work.strangers,
    }
    rows = [compared(gen, name, kind, given.rounds) for name, kind in kinds.items()]
    save("prefix", [*rows, samples(gen, work)])


def loaded(model: str, runner: str) -> Generator:
    """Load a model; its cache is exchanged for each contestant."""
    if model not in SIZES:
        return Generator.from_pretrained(model, device="cpu", runner=runner, prefix_cache="1GB")
    with TemporaryDirectory(dir="/var/tmp") as folder:
        write_random_model(Path(folder), SIZES[model])
        return Generator.from_pretrained(folder, device="cpu", runner=runner, prefix_cache="1GB")


def compared(
    gen: Generator, name: str, kind: Callable[[Generator], int], rounds: int
) -> dict[str, object]:
    """Time a kind of work with an empty cache at its beginning, and without one."""
    fed = {}

    def with_cache() -> None:
        gen._prefixes = PrefixCache(10**9)  # noqa: SLF001 - each round begins anew
        fed["with"] = kind(gen)

    def without() -> None:
        gen._prefixes = None  # noqa: SLF001 - as above
        fed["without"] = kind(gen)

    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for turn in range(rounds + 1):
        for run, place in [(with_cache, "with"), (without, "without")][:: 1 if turn % 2 else -1]:
            began = time.process_time()
            run()
            # The first round is not counted.
            seconds[place] += [time.process_time() - began] * bool(turn)
    taken = {place: statistics.median(each) for place, each in seconds.items()}
    with_cache()
    return {
        "what": name,
        "seconds": taken["with"],
        "times_without": taken["without"] / taken["with"],
        "fed": fed["with"],
        "fed_without": fed["without"],
        "held_mb": gen.cache_info().nbytes / 1e6,
    }


def samples(gen: Generator, work: Work) -> dict[str, object]:
    """Time what it takes to give eight samples of one prompt their shares of the cache."""
    model, prompt = gen.model, work.tokens(3, 500)
    cache = model.make_cache(1)
    model.score(cache, [prompt], [1])
    began = time.process_time()
    cache.fork([0] * 8)
    taken = time.process_time() - began
    gen._prefixes = None  # noqa: SLF001 - it has no part in this
    usage = gen.generate(prompt, num_return_sequences=8, max_new_tokens=8, eos_token_id=None).usage
    return {
        "what": "copies for 8 samples of 500 tokens",
        "seconds": taken,
        "times_without": None,
        "fed": usage.tokens_fed,
        "fed_without": 8 * (500 + 7),
        "held_mb": cache.nbytes / 1e6,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
