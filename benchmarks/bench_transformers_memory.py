"""What a model of transformers takes of memory: while it is loaded, and while it decodes.

A Llama of 66 million random weights in one float32 file. Each row is a process of its own, which
first loads and runs a small model of the same kind, so that imports and kernels do not count; the
memory is anonymous (RssAnon), seen from another process every millisecond. MiB:

    held       weights, packed for the CPU's kernels
    loading    the most while loading, and in parts of what is held; 1.1 is wanted
    cache      keys and values of the tokens that 8 ragged rows have at the end
    decoding   the most while they decode, what the prompts' activations left in the heap given
               back, and in parts of `held` and `cache` together; 1.1 is wanted
    peak       the most while prompts are read and rows decode, with the heap as it is
    rewinding  microseconds to cut rows of 400 tokens to lengths of their own, and milliseconds of
               a copy that would close the gaps in a padded cache of that size

    python benchmarks/bench_transformers_memory.py
"""

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from bench_load import Watch, proceed, told, wait_for_parent
from bench_transformers import LENGTHS, SIZES, tokens
from record import save
from transformers import LlamaConfig, LlamaForCausalLM

from gpt2sdk import Generator
from gpt2sdk.testing import tiny_tokenizer

MIB = 2**20
SMALL = {"hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": 2}
WEIGHTS: Mapping[str, Mapping[str, str]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "int8, bfloat16": {"quantization": "int8", "dtype": "bfloat16"},
}
LLAMA = SIZES | {
    "vocab_size": 8_192,
    "hidden_size": 768,
    "intermediate_size": 2_048,
    "num_attention_heads": 12,
}
NEW = 64
Row = dict[str, object]


def write(folder: Path, **sizes: object) -> Path:
    """Write a model with random weights."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**{**LLAMA, **sizes})).save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


def loaded(folder: str, weights: str) -> Generator:
    """Load a model, ready to generate."""
    return Generator.from_pretrained(folder, device="cpu", **WEIGHTS[weights])


def write_on(gen: Generator) -> None:
    """Let 8 ragged rows go on."""
    gen.generate(prompts(), strategy="greedy", max_new_tokens=NEW, eos_token_id=None)


def child(small: str, folder: str, weights: str) -> None:
    """Load and decode, each time the parent is waited for."""
    torch.set_num_threads(1)
    write_on(loaded(small, weights))
    settle()
    wait_for_parent({})
    gen = loaded(folder, weights)
    settle()
    wait_for_parent({})
    model = gen.model
    cache = model.make_cache(len(LENGTHS))
    model.score(cache, prompts(), [1] * len(LENGTHS))
    settle()
    wait_for_parent({})
    for _ in range(NEW):
        model.score(cache, [[5]] * len(LENGTHS), [1] * len(LENGTHS))
    wait_for_parent({"token_mib": cache.token_nbytes / MIB})


def prompts() -> list[list[int]]:
    """Texts of different lengths."""
    rows = (tokens(number, length) for number, length in enumerate(LENGTHS))
    return [[token % 8_192 for token in row] for row in rows]


def settle() -> None:
    """Give back what nobody holds."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def measured(small: Path, folder: Path, weights: str) -> Row:
    """Watch a process."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", str(small), str(folder), weights],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    with process:
        told(process)
        watch = Watch(process.pid)
        proceed(process)
        told(process)
        loading = watch.stop()
        held = watch.anonymous()
        reading = Watch(process.pid)
        proceed(process)
        told(process)
        peak = held + reading.stop()
        read = held + reading.anonymous()
        running = Watch(process.pid)
        proceed(process)
        token = float(str(told(process)["token_mib"]))
        decoding = read + running.stop()
        proceed(process)
    cached = token * sum(length + NEW for length in LENGTHS)
    return {
        "weights": weights,
        "held_mib": held,
        "loading_peak_mib": loading,
        "loading_ratio": loading / held,
        "cache_mib": cached,
        "decoding_mib": decoding,
        "decoding_ratio": decoding / (held + cached),
        "peak_mib": max(peak, decoding),
    }


def rewound(folder: Path) -> Row:
    """What it takes to cut rows to lengths of their own."""
    torch.set_num_threads(1)
    model = loaded(str(folder), "float32").model
    rows = [[token % 8_192 for token in tokens(number, 400)] for number in range(8)]
    cut = [400 - 37 * number for number in range(8)]
    seconds = []
    for _ in range(5):
        cache = model.make_cache(8)
        model.score(cache, rows, [1] * 8)
        started = time.perf_counter()
        cache.rewind(cut)
        seconds.append(time.perf_counter() - started)
    held = [torch.randn(8, 8, 400, 64) for _ in range(model.layers)]
    places = torch.arange(400).repeat(8, 1)
    gather = []
    for _ in range(5):
        started = time.perf_counter()
        for each in held:
            each.gather(2, places[:, None, :, None].expand_as(each))
        gather.append(time.perf_counter() - started)
    return {
        "rewind_us": statistics.median(seconds) * 1e6,
        "copy_of_a_padded_cache_ms": statistics.median(gather) * 1e3,
        "bytes_copied_by_rewind": 0,
    }


def main() -> None:
    """Measure everything, or be a process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
        small = write(Path(parent) / "small", **SMALL)
        folder = write(Path(parent) / "model")
        rows = [measured(small, folder, weights) for weights in WEIGHTS]
        rewinding = rewound(folder)
    save("transformers_memory", rows, rewinding=rewinding)


if __name__ == "__main__":
    main()
