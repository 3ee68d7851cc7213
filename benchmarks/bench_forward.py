"""Decoding speed of the bare model, beside transformers' generate, in one run.

A random model of the 124M shape decodes greedily: `score` in a loop here, `generate` there, in
turns, so that both meet the same machine. A row is one batch size and dtype.

    python benchmarks/bench_forward.py --dtypes float32 bfloat16 --batches 1 8 32
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from transformers import GPT2LMHeadModel

from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2

PROMPT = 32
Decode = Callable[[list[list[int]], int], object]


def ours(model: GPT2) -> Decode:
    """Return greedy decoding with `score`."""

    def decode(prompts: list[list[int]], new: int) -> list[list[int]]:
        cache = model.make_cache(len(prompts))
        tokens, keep = prompts, [1] * len(prompts)
        out: list[list[int]] = [[] for _ in prompts]
        for _ in range(new):
            best = model.score(cache, tokens, keep).logits.argmax(dim=-1).tolist()
            for row, token in zip(out, best, strict=True):
                row.append(token)
            tokens = [[token] for token in best]
        return out

    return decode


def theirs(model: GPT2LMHeadModel) -> Decode:
    """Return transformers' greedy decoding."""

    def decode(prompts: list[list[int]], new: int) -> object:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            return model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
            )

    return decode


def seconds(decode: Decode, prompts: list[list[int]], new: int) -> float:
    """Time one call."""
    start = time.perf_counter()
    decode(prompts, new)
    return time.perf_counter() - start


def compare(
    engines: dict[str, Decode], batch: int, new: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Decode with each engine in turn; tokens per second, at best and in the middle."""
    prompts = [[(7 * row + 11 * place) % 50000 for place in range(PROMPT)] for row in range(batch)]
    times: dict[str, list[float]] = {name: [] for name in engines}
    for decode in engines.values():
        seconds(decode, prompts, 4)
    for _ in range(rounds):
        for name, decode in engines.items():
            times[name].append(seconds(decode, prompts, new))
    return {
        name: {
            "best": round(batch * new / min(taken), 1),
            "median": round(batch * new / statistics.median(taken), 1),
        }
        for name, taken in times.items()
    }


def main() -> None:
    """Run what the command line asks for, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = GPT2Config(n_layer=arguments.layers)
    reference = GPT2LMHeadModel(transformers.GPT2Config(n_layer=arguments.layers)).eval()
    for dtype in arguments.dtypes:
        model = GPT2(config).to(getattr(torch, dtype)).eval()
        model.prepare()
        engines = {"transformers float32": theirs(reference), f"gpt2sdk {dtype}": ours(model)}
        for batch in arguments.batches:
            speeds = compare(engines, batch, arguments.new, arguments.rounds)
            print(json.dumps({"batch": batch, "tokens_per_second": speeds}), flush=True)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"machine": platform.processor(), "threads": arguments.threads, **versions}))


if __name__ == "__main__":
    main()
