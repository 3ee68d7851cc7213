"""Decoding speed beside transformers: same weights, same prompts, same tokens, one run.

124M shape with random weights, greedy, 32 prompt tokens and 64 new ones, 1, 8 and 32 rows, float32
and bfloat16. Tokens per second are new tokens of all rows over the wall time of a whole call.

    python benchmarks/bench_decode.py [--rounds 5] [--rows 1 8 32] [--device cuda]
"""

import argparse

import torch
from record import interleave, save
from transformers import GPT2Config as PeerConfig
from transformers import GPT2LMHeadModel

from gpt2sdk import Generator, GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import Letters

PROMPT, NEW = 32, 64


def twins(dtype: torch.dtype, device: str) -> tuple[GPT2LMHeadModel, Generator]:
    """The same random weights in both libraries."""
    ours = GPT2(GPT2Config(), seed=0)
    # Spread logits: with the usual initialisation, greedy choices would be near ties.
    with torch.no_grad():
        ours.wte.weight.mul_(5.0)
    theirs = GPT2LMHeadModel(PeerConfig()).eval()
    turned = {
        f"transformer.{name}": value.T if name.endswith(GPT2.stored_transposed) else value
        for name, value in ours.state_dict().items()
    }
    theirs.load_state_dict(turned, strict=False)
    theirs.tie_weights()
    ours, letters = ours.to(device=device, dtype=dtype), Letters()
    ours.prepare()
    return theirs.to(device=device, dtype=dtype), Generator(
        ours, letters, decoder=letters, eos_token_ids=[]
    )


def compare(rows: int, rounds: int, device: str) -> list[dict[str, object]]:
    """Time all four engines on one batch size."""
    generator = torch.Generator().manual_seed(rows)
    prompts = torch.randint(0, 50_000, (rows, PROMPT), generator=generator)
    placed = prompts.to(device)
    contestants = {}
    outputs = {}
    for dtype in (torch.float32, torch.bfloat16):
        theirs, ours = twins(dtype, device)
        name = str(dtype).removeprefix("torch.")

        def run_theirs(theirs: GPT2LMHeadModel = theirs, name: str = name) -> None:
            with torch.inference_mode():
                made = theirs.generate(
                    placed,
                    attention_mask=torch.ones_like(placed),
                    do_sample=False,
                    max_new_tokens=NEW,
                    min_new_tokens=NEW,
                    eos_token_id=None,
                    pad_token_id=0,
                )
            outputs["transformers", name] = made[:, PROMPT:].tolist()

        def run_ours(ours: Generator = ours, name: str = name) -> None:
            made = ours.generate(prompts.tolist(), strategy="greedy", max_new_tokens=NEW)
            outputs["gpt2sdk", name] = [list(each.tokens) for each in made.completions]

        contestants[f"transformers {name}"] = run_theirs
        contestants[f"gpt2sdk {name}"] = run_ours
    medians = interleave(contestants, rounds)
    if device == "cpu" and outputs["gpt2sdk", "float32"] != outputs["transformers", "float32"]:
        message = "the two libraries disagree on the tokens"
        raise SystemExit(message)
    default = medians["transformers float32"]
    return [
        {
            "rows": rows,
            "engine": name,
            "tokens_per_second": rows * NEW / seconds,
            "times_transformers_float32": default / seconds,
            "times_transformers_same_dtype": medians[f"transformers {name.split()[1]}"] / seconds,
        }
        for name, seconds in medians.items()
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    given = parser.parse_args()
    name = "decode" if given.device == "cpu" else f"decode_{given.device}"
    save(name, [row for rows in given.rows for row in compare(rows, given.rounds, given.device)])


if __name__ == "__main__":
    main()
