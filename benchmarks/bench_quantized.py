"""What weights in fewer bits cost in speed and in quality.

speed    Whole greedy calls on the 124M shape with random weights, 32 prompt tokens and 64 new ones,
         beside transformers in float32 on the same weights and prompts. All take turns.
quality  Bits per byte of a text that the storyteller has not seen, scored in windows, and the
         difference to float32 in percent.

    python benchmarks/bench_quantized.py [speed] [quality] [--rounds 5] [--rows 1 8 32]
                                         [--text valid.txt] [--characters 100000]
                                         [--device cuda]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from bench_decode import NEW, PROMPT
from random_model import SIZES, write_random_model
from record import interleave, save
from transformers import GPT2LMHeadModel

from gpt2sdk import Generator, Quantizer
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8
from gpt2sdk_quantization.int4 import Int4
from gpt2sdk_quantization.int8 import Int8

TEXT = Path(__file__).parents[2] / "shared" / "data" / "fairy_tales" / "valid.txt"
# Most loss of quality that is wanted, in percent of the bits per byte.
WANTED = {"int8": 0.2, "int4": 3.0, "bnb-nf4": 3.0}
Row = dict[str, object]


def recipes() -> dict[str, tuple[str, Quantizer | None]]:
    """Return each kind of weights: the type of the rest, and the quantizer."""
    return {
        "float32": ("float32", None),
        "bfloat16": ("bfloat16", None),
        "int8": ("float32", Int8()),
        "int8, 8-bit activations": ("float32", Int8(activation_bits=8)),
        "int4, groups of 32": ("float32", Int4(group_size=32)),
        "int4": ("float32", Int4()),
        "int4, groups of 128": ("float32", Int4(group_size=128)),
        "bnb-int8": ("float32", BnbInt8()),
        "bnb-nf4": ("float32", BnbNf4()),
        "bnb-fp4": ("float32", BnbFp4()),
    }


ONLY_QUALITY = ("int4, groups of 32", "int4, groups of 128", "bnb-fp4")


def loaded(model: str | Path, weights: str, device: str) -> Generator:
    """Load a model in one of these ways."""
    dtype, quantizer = recipes()[weights]
    return Generator.from_pretrained(model, device=device, dtype=dtype, quantization=quantizer)


def engines(folder: Path, device: str) -> dict[str, Callable[[list[list[int]]], object]]:
    """Return what makes 64 tokens for each prompt, greedily, with each kind of weights."""
    peer = GPT2LMHeadModel.from_pretrained(folder).eval().to(device)

    def theirs(prompts: list[list[int]]) -> list[list[int]]:
        tokens = torch.tensor(prompts, device=device)
        with torch.inference_mode():
            made = peer.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                do_sample=False,
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                eos_token_id=None,
                pad_token_id=0,
            )
        return made[:, PROMPT:].tolist()

    def ours(prompts: list[list[int]], generator: Generator) -> list[list[int]]:
        made = generator.generate(
            prompts, strategy="greedy", min_new_tokens=NEW, max_new_tokens=NEW
        )
        return [list(each.tokens) for each in made.completions]

    made = {"transformers float32": theirs}
    for weights in recipes():
        if weights not in ONLY_QUALITY:
            made[f"gpt2sdk {weights}"] = partial(ours, generator=loaded(folder, weights, device))
    return made


def speed(rounds: int, counts: list[int], device: str) -> Iterator[Row]:
    """Time all engines on batches of several sizes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
        folder = Path(parent) / "model"
        write_random_model(folder, SIZES["124M"], table=5.0)
        found = engines(folder, device)
        for rows in counts:
            generator = torch.Generator().manual_seed(rows)
            prompts = torch.randint(0, 50_000, (rows, PROMPT), generator=generator).tolist()
            same = found["gpt2sdk float32"](prompts) == found["transformers float32"](prompts)
            # The kernels of GPUs round differently, so near ties may fall either way there.
            if device == "cpu" and not same:
                message = "the two libraries disagree on the tokens"
                raise SystemExit(message)
            turns = {name: partial(engine, prompts) for name, engine in found.items()}
            medians = interleave(turns, rounds)
            for name, seconds in medians.items():
                yield {
                    "rows": rows,
                    "engine": name,
                    "tokens_per_second": rows * NEW / seconds,
                    "times_transformers_float32": medians["transformers float32"] / seconds,
                    "times_gpt2sdk_float32": medians["gpt2sdk float32"] / seconds,
                }


def quality(text: str, device: str) -> Iterator[Row]:
    """Score a text with each kind of weights."""
    plain = 0.0
    for weights in recipes():
        generator = loaded("storyteller", weights, device)
        started = time.perf_counter()
        bits = generator.score(text).bits_per_byte
        seconds = time.perf_counter() - started
        plain = plain or bits
        yield {
            "weights": weights,
            "bits_per_byte": bits,
            "loss_percent": 100 * (bits / plain - 1),
            "wanted_percent": WANTED.get(weights),
            "characters": len(text),
            "seconds": seconds,
        }


def main() -> None:
    """Run what was asked for; both by default."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="speed|quality")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--characters", type=int, help="of the text; all by default")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    suffix = "" if given.device == "cpu" else f"_{given.device}"
    parts = given.parts or ["speed", "quality"]
    if "quality" in parts and not given.text.is_file():
        print(f"quality is left out: {given.text} is not here; name a text with --text")
    elif "quality" in parts:
        text = given.text.read_text(encoding="utf-8")[: given.characters]
        save(f"quantized_quality{suffix}", list(quality(text, given.device)))
    if "speed" in parts:
        save(f"quantized_speed{suffix}", list(speed(given.rounds, given.rows, given.device)))


if __name__ == "__main__":
    main()
