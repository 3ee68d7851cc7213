"""What weights in fewer bits cost in quality; `bench_decode.py` has their speed.

Bits per byte of a text that the storyteller has not seen, scored in windows, and the difference to
float32 in percent.

    python benchmarks/bench_quantized.py [--text valid.txt] [--characters 100000] [--device cuda]
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from record import save

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


def loaded(model: str | Path, weights: str, device: str) -> Generator:
    """Load a model in one of these ways."""
    dtype, quantizer = recipes()[weights]
    return Generator.from_pretrained(model, device=device, dtype=dtype, quantization=quantizer)


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
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--characters", type=int, help="of the text; all by default")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    suffix = "" if given.device == "cpu" else f"_{given.device}"
    if not given.text.is_file():
        print(f"quality is left out: {given.text} is not here; name a text with --text")
        return
    text = given.text.read_text(encoding="utf-8")[: given.characters]
    save(f"quantized_quality{suffix}", list(quality(text, given.device)))


if __name__ == "__main__":
    main()
