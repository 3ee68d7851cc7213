"""What the bare model costs, without a session: decoding speed, its parts, and memory.

124M shape with random weights. Speed: `score` in a loop, with modules and prepared, beside
transformers' generate (its default, float32), greedy, 32 prompt tokens and 64 new ones; tokens per
second of all rows over the wall time of a whole call. Parts: where a prepared step's time goes, by
torch's profiler. Memory: resident set of a fresh process before and after `prepare`.

    python benchmarks/bench_forward.py [--rounds 5]
"""

import argparse
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from record import interleave, save
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config as PeerConfig
from transformers import GPT2LMHeadModel

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2

PROMPT, NEW = 32, 64
BATCHES = (1, 8, 32)
DTYPES = (torch.float32, torch.bfloat16)
PARTS = {
    "linear": ("mkldnn::_linear_pointwise", "aten::linear"),
    "attention": ("aten::scaled_dot_product_attention",),
    "norm": ("aten::layer_norm",),
    "cache write": ("aten::copy_", "aten::index_put_"),
    "embedding": ("aten::embedding",),
    "addition": ("aten::add_", "aten::add"),
}


def prompts(rows: int) -> list[list[int]]:
    """Token ids that look like nothing in particular."""
    return [
        [(7919 * row + 104_729 * place) % 50_000 for place in range(PROMPT)] for row in range(rows)
    ]


def decode(model: GPT2, rows: int, new: int = NEW) -> None:
    """Decode greedily with nothing but `score`."""
    cache, tokens, keep = model.make_cache(rows), prompts(rows), [1] * rows
    for _ in range(new):
        best = model.score(cache, tokens, keep).logits.argmax(dim=-1)
        tokens = [[token] for token in best.tolist()]


def peer(model: GPT2LMHeadModel, rows: int) -> None:
    """Decode greedily with transformers."""
    ids = torch.tensor(prompts(rows))
    with torch.inference_mode():
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            eos_token_id=None,
            pad_token_id=0,
        )


def speed(rounds: int) -> list[dict[str, object]]:
    """Time transformers, the modules and the prepared model, for each batch size and dtype."""
    theirs = GPT2LMHeadModel(PeerConfig()).eval()
    models: dict[str, GPT2] = {}
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        models[f"modules {name}"] = GPT2(GPT2Config()).to(dtype).eval()
        models[f"prepared {name}"] = GPT2(GPT2Config()).to(dtype).eval()
        models[f"prepared {name}"].prepare()
    found = []
    for rows in BATCHES:
        contestants: dict[str, Callable[[], object]] = {
            name: lambda model=model, rows=rows: decode(model, rows)
            for name, model in models.items()
        }
        contestants["transformers float32"] = lambda rows=rows: peer(theirs, rows)
        medians = interleave(contestants, rounds)
        found += [
            {
                "rows": rows,
                "engine": name,
                "tokens_per_second": rows * NEW / seconds,
                "times_transformers": medians["transformers float32"] / seconds,
            }
            for name, seconds in medians.items()
        ]
    return found


def parts() -> list[dict[str, object]]:
    """Share out the time of a prepared step among the kinds of operations."""
    found = []
    for dtype in DTYPES:
        model = GPT2(GPT2Config()).to(dtype).eval()
        model.prepare()
        for rows in BATCHES:
            decode(model, rows, 4)
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                decode(model, rows, 16)
            taken: Counter[str] = Counter()
            for event in profiler.key_averages():
                for part, names in PARTS.items():
                    taken[part] += event.cpu_time_total * (event.key in names)
            whole = sum(event.self_cpu_time_total for event in profiler.key_averages())
            shares = {part: taken[part] / whole for part in PARTS}
            found.append({"rows": rows, "dtype": str(dtype).removeprefix("torch."), **shares})
    return found


def memory() -> list[dict[str, object]]:
    """Measure resident memory in processes of their own."""
    found = []
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        command = [sys.executable, __file__, "--memory-of", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        empty, before, after, peak = (round(float(number)) for number in done.stdout.split())
        found.append(
            {
                "dtype": name,
                "weights_mb": before - empty,
                "prepared_mb": after - empty,
                "peak_mb": peak - empty,
            }
        )
    return found


def resident() -> float:
    """Resident memory in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return 0.0


def measure_memory(name: str) -> None:
    """Print resident memory with no model, with one, with it prepared, and at most."""
    empty = resident()
    model = GPT2(GPT2Config()).to(getattr(torch, name)).eval()
    before = resident()
    model.prepare()
    decode(model, 1, 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(empty, before, resident(), peak)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", help="what the script calls itself with")
    arguments = parser.parse_args()
    if arguments.memory_of:
        measure_memory(arguments.memory_of)
        return
    save("forward_memory", memory())
    save("forward_parts", parts())
    save("forward", speed(arguments.rounds))


if __name__ == "__main__":
    main()
