"""A model of transformers, decoded here and by transformers' own `generate`, in one run.

A Llama of about 60 million random weights, greedy: one row; eight rows of different lengths, padded
on the left for transformers; and eight rows of repetitive text with drafts looked up in the prompt,
which transformers does for one row at a time. Both have to write the same tokens. Seconds are
those of the processor, on one thread: others may use the machine meanwhile.

    python benchmarks/bench_transformers.py [--rounds 5] [--new 64] [--dtype float32]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from record import save
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gpt2sdk import Generator
from gpt2sdk.testing import tiny_tokenizer

SIZES = {
    "vocab_size": 32_000,
    "hidden_size": 512,
    "intermediate_size": 1_376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1_024,
    "eos_token_id": None,
}
LENGTHS = (12, 200, 35, 90, 140, 20, 64, 110)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory(dir="/var/tmp") as folder:
        gen, network = loaded(Path(folder), given.dtype)
        prompts = [tokens(number, length) for number, length in enumerate(LENGTHS)]
        echoes = [(row[:12] * 20)[:160] for row in prompts]
        rows = [
            compared("1 row of 90 tokens", gen, network, [prompts[3]], given.new, given.rounds),
            compared("8 ragged rows", gen, network, prompts, given.new, given.rounds),
            compared(
                "1 row, drafts", gen, network, echoes[1:2], given.new, given.rounds, draft=True
            ),
        ]
    save("transformers", rows, weights=sum(each.numel() for each in network.parameters()))


def tokens(seed: int, count: int) -> list[int]:
    """Return random tokens."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(1, 30_000, [count], generator=chance).tolist()


def loaded(folder: Path, dtype: str) -> tuple[Generator, PreTrainedModel]:
    """Write a network with random weights, and load it twice."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    tiny_tokenizer().save(folder)
    gen = Generator.from_pretrained(folder, device="cpu", dtype=dtype)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    return gen, network


def compared(
    what: str,
    gen: Generator,
    network: PreTrainedModel,
    prompts: list[list[int]],
    new: int,
    rounds: int,
    *,
    draft: bool = False,
) -> dict[str, object]:
    """Time both in turns, and make sure that they write the same."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])

    def ours() -> list[list[int]]:
        drafts = {"drafter": "prompt_lookup"} if draft else {}
        result = gen.generate(
            prompts, strategy="greedy", max_new_tokens=new, eos_token_id=None, **drafts
        )
        return [list(each.tokens) for each in result.completions]

    def theirs() -> list[list[int]]:
        drafts = {"prompt_lookup_num_tokens": 10} if draft else {}
        made = network.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=new,
            eos_token_id=None,
            pad_token_id=0,
            **drafts,
        )
        return made[:, longest:].tolist()

    same = sum(map(list.__eq__, ours(), theirs()))
    seconds: dict[Callable[[], object], list[float]] = {ours: [], theirs: []}
    for turn in range(rounds):
        for run in (ours, theirs)[:: 1 if turn % 2 else -1]:
            began = time.process_time()
            run()
            seconds[run].append(time.process_time() - began)
    mine, other = (statistics.median(seconds[run]) for run in (ours, theirs))
    return {
        "what": what,
        "gpt2sdk": mine,
        "transformers": other,
        "times": other / mine,
        "rows that are the same": f"{same} of {len(prompts)}",
    }


if __name__ == "__main__":
    main()
