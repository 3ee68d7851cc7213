"""Recurrent models of transformers, decoded here and by transformers' own `generate`, in one run.

A Mamba and a hybrid of convolutions and attention (LFM2), each of some 30 million random weights,
greedy: one row; eight rows of different lengths, padded on the left for transformers; and one row
of repetitive text without drafts and with those that are looked up in the prompt. transformers
refuses to check drafts for a Mamba, whose states it cannot take back; here a draft that fails goes
back to the state before it, and what was taken of it is fed once more. Seconds are those of the
processor, on one thread: others may use the machine meanwhile.

For drafts, Mamba's head mostly says what follows in a cycle of twelve tokens, and its layers
disturb that: little, so that all drafts are taken, or more, so that a quarter of them fails.

    python benchmarks/bench_recurrent.py [--rounds 5] [--new 128]
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
    "mamba": {
        **_COMMON,
        "num_hidden_layers": 12,
        "state_size": 16,
        "tie_word_embeddings": False,
    },
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
CYCLE = 12
DISTURBED = {"mamba": (0.01, 0.02), "lfm2": (None,)}
"""What the outputs of layers are multiplied with, for texts that repeat themselves."""
LENGTHS = (12, 200, 35, 90, 140, 20, 64, 110)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=128)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind, scales in DISTURBED.items():
        for scale in scales:
            with TemporaryDirectory(dir="/var/tmp") as folder:
                gen, network = loaded(kind, Path(folder), scale)
            rows += measured(kind, gen, network, given.new, given.rounds, alone=scale != 0.02)
    save("recurrent", rows)


def measured(
    kind: str, gen: Generator, network: PreTrainedModel, new: int, rounds: int, *, alone: bool
) -> list[dict[str, object]]:
    """Time all there is to time with one model; repetitive texts only, unless `alone`."""
    prompts = [tokens(number, length) for number, length in enumerate(LENGTHS)]
    repeated = [(prompts[1][:CYCLE] * 20)[:160]]
    cases = {"1 row, repetitive": repeated, "1 row, repetitive, drafts": repeated}
    if alone:
        cases = {"1 row of 90 tokens": prompts[3:4], "8 ragged rows": prompts, **cases}
    return [
        timed(f"{kind}: {what}", gen, network, batch, new, rounds) for what, batch in cases.items()
    ]


def timed(
    what: str,
    gen: Generator,
    network: PreTrainedModel,
    batch: list[list[int]],
    new: int,
    rounds: int,
) -> dict[str, object]:
    """Time both in turns, and say whether they wrote the same."""
    drafts = what.endswith("drafts")
    runs: dict[str, Callable[[], list[list[int]]]] = {
        "gpt2sdk": partial(written, gen, batch, new, drafts=drafts)
    }
    if not (drafts and what.startswith("mamba")):
        runs["transformers"] = partial(theirs, network, batch, new, drafts=drafts)
    made = {name: run() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in list(runs.items())[:: 1 if turn % 2 else -1]:
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    usage = gen.generate(batch, **options(new, drafts=drafts)).usage
    other = medians.get("transformers")
    same = sum(map(list.__eq__, *made.values())) if other else None
    return {
        "what": what,
        "gpt2sdk": medians["gpt2sdk"],
        "transformers": other,
        "times": other and other / medians["gpt2sdk"],
        "rows that are the same": f"{same} of {len(batch)}" if other else "refused there",
        "tokens per second": len(batch) * new / medians["gpt2sdk"],
        "model calls": usage.model_calls,
        "tokens fed": usage.tokens_fed,
        "drafted": usage.drafted,
        "accepted": usage.accepted,
    }


def tokens(seed: int, count: int) -> list[int]:
    """Return random tokens."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(1, 15_000, [count], generator=chance).tolist()


def loaded(kind: str, folder: Path, scale: float | None) -> tuple[Generator, PreTrainedModel]:
    """Write a network with random weights, and load it twice."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **KINDS[kind]))
    if scale is not None:
        before = torch.arange(network.config.vocab_size // CYCLE * CYCLE)
        after = before // CYCLE * CYCLE + (before % CYCLE + 1) % CYCLE
        with torch.no_grad():
            table = network.get_input_embeddings().weight
            network.get_output_embeddings().weight[after] = table[before]
            for name, weight in network.named_parameters():
                if name.endswith("out_proj.weight"):
                    weight.mul_(scale)
    network.save_pretrained(folder)
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


if __name__ == "__main__":
    main()
