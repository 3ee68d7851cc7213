"""Recurrent models of transformers, decoded here and by transformers' own `generate`, in one run.

A Mamba and a hybrid of convolutions and attention (LFM2), each of 25 to 35 million random weights,
greedy: one row; eight rows of different lengths, padded on the left for transformers; and one row
of repetitive text with drafts looked up in the prompt, beside the same without drafts. transformers
refuses to check drafts for a Mamba, whose states it cannot take back; here a rejected draft goes
back to the state before it, and feeds what was taken once more. Seconds are those of the processor,
on one thread: others may use the machine meanwhile.

    python benchmarks/bench_recurrent.py [--rounds 5] [--new 64]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from record import save
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from gpt2sdk import Generator
from gpt2sdk.testing import tiny_tokenizer

_COMMON = {"vocab_size": 16_000, "hidden_size": 512, "bos_token_id": 0, "eos_token_id": None}
KINDS: Mapping[str, Mapping[str, object]] = {
    "mamba": {**_COMMON, "num_hidden_layers": 12, "state_size": 16},
    "lfm2": {
        **_COMMON,
        "intermediate_size": 1_536,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 1_024,
        "layer_types": ["conv", "conv", "full_attention", "conv"] * 2,
    },
}
LENGTHS = (12, 200, 35, 90, 140, 20, 64, 110)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in KINDS:
        with TemporaryDirectory(dir="/var/tmp") as folder:
            rows += measured(kind, Path(folder), given.new, given.rounds)
    for row in rows:
        print(row)
    save("recurrent", rows)


def measured(kind: str, folder: Path, new: int, rounds: int) -> list[dict[str, object]]:
    """Time all there is to time with one kind of model."""
    gen, network = loaded(kind, folder)
    prompts = [tokens(number, length) for number, length in enumerate(LENGTHS)]
    # What the model itself goes on to write repeats itself, so that drafts are taken.
    echo = written(gen, [(prompts[1][:12] * 20)[:160]], new)[0]
    plain, ragged, repeated = [prompts[3]], prompts, [(prompts[1][:12] * 20)[:160] + echo]
    found = []
    for what, batch, drafts in (
        ("1 row of 90 tokens", plain, False),
        ("8 ragged rows", ragged, False),
        ("1 row, repetitive", repeated, False),
        ("1 row, repetitive, drafts", repeated, True),
    ):
        runs: dict[str, Callable[[], list[list[int]]]] = {
            "gpt2sdk": partial(written, gen, batch, new, drafts=drafts),
        }
        if not drafts or kind == "lfm2":
            runs["transformers"] = partial(theirs, network, batch, new, drafts=drafts)
        made = {name: run() for name, run in runs.items()}
        seconds = timed(runs, rounds)
        row: dict[str, object] = {
            "what": f"{kind}: {what}",
            "weights": sum(each.numel() for each in network.parameters()),
            **seconds,
        }
        if "transformers" in runs:
            row["times"] = seconds["transformers"] / seconds["gpt2sdk"]
            same = sum(map(list.__eq__, *made.values()))
            row["rows that are the same"] = f"{same} of {len(batch)}"
        result = gen.generate(batch, **options(new, drafts=drafts))
        row |= {
            "tokens per second": len(batch) * new / seconds["gpt2sdk"],
            "model calls": result.usage.model_calls,
            "tokens fed": result.usage.tokens_fed,
            "drafted": result.usage.drafted,
            "accepted": result.usage.accepted,
        }
        found.append(row)
    return found


def tokens(seed: int, count: int) -> list[int]:
    """Return random tokens."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(1, 15_000, [count], generator=chance).tolist()


def loaded(kind: str, folder: Path) -> tuple[Generator, PreTrainedModel]:
    """Write a network with random weights, and load it twice."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **KINDS[kind])
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save(folder)
    gen = Generator.from_pretrained(folder, device="cpu", dtype="float32")
    return gen, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def options(new: int, *, drafts: bool) -> dict[str, object]:
    """Return the options of a call."""
    drafter = {"drafter": "prompt_lookup"} if drafts else {}
    return {"strategy": "greedy", "max_new_tokens": new, "eos_token_id": None, **drafter}


def written(
    gen: Generator, prompts: list[list[int]], new: int, *, drafts: bool = False
) -> list[list[int]]:
    """Return what is written here."""
    result = gen.generate(prompts, **options(new, drafts=drafts))
    return [list(each.tokens) for each in result.completions]


def theirs(
    network: PreTrainedModel, prompts: list[list[int]], new: int, *, drafts: bool
) -> list[list[int]]:
    """Return what transformers writes."""
    longest = max(map(len, prompts))
    made = network.generate(
        torch.tensor([[0] * (longest - len(row)) + row for row in prompts]),
        attention_mask=torch.tensor(
            [[0] * (longest - len(row)) + [1] * len(row) for row in prompts]
        ),
        do_sample=False,
        max_new_tokens=new,
        eos_token_id=None,
        pad_token_id=0,
        **({"prompt_lookup_num_tokens": 10} if drafts else {}),
    )
    return made[:, longest:].tolist()


def timed(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median of each one's seconds, run in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in list(runs.items())[:: 1 if turn % 2 else -1]:
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
