"""gpt2sdk, with any runner, type and quantizer."""

import time
from collections.abc import Mapping
from typing import ClassVar

import torch

from gpt2sdk import Generator, LogitsProcessor, Quantizer
from gpt2sdk.benchmark.case import TimedCase
from gpt2sdk.benchmark.work import work_of
from gpt2sdk.components.rows import Rows
from gpt2sdk.plugins.registry import default_registry

RECIPES: Mapping[str, tuple[str, str | None, dict[str, object]]] = {
    "float32": ("float32", None, {}),
    "bfloat16": ("bfloat16", None, {}),
    "int8": ("float32", "int8", {}),
    "int8-a8": ("float32", "int8", {"activation_bits": 8}),
    "int4": ("float32", "int4", {"group_size": 64}),
    "int4-g32": ("float32", "int4", {"group_size": 32}),
    "bnb-int8": ("float32", "bnb_int8", {}),
    "bnb-nf4": ("float32", "bnb_nf4", {}),
}
"""The type of what is not quantized, the quantizer, and its settings."""


class Engine:
    """A model of a folder with weights and a runner."""

    can = ("greedy", "sample", "beam", "processors", "ragged")

    def __init__(self, folder: str, weights: str, threads: int, device: str, runner: str) -> None:
        torch.set_num_threads(threads)
        dtype, name, settings = RECIPES[weights]
        quantizer = None
        if name is not None:
            quantizer = default_registry().find(Quantizer, name)(**settings)
        self.generator = Generator.from_pretrained(
            folder, dtype=dtype, device=device, quantization=quantizer, runner=runner
        )
        self.processors = [_Bias(), _Scale(), _Ban()]

    def about(self) -> dict[str, object]:
        """What a pass reads, exactly, and what computes."""
        work = work_of(self.generator)
        return {
            "can": self.can,
            "weight_bytes": work.weights,
            "place_bytes": work.place,
            "products": work.products,
            "notes": list(self.generator.notes),
        }

    def run(self, job: dict) -> dict[str, object]:
        """Generate; and where it is asked for, run the model alone, too."""
        if job["do"] == "passes":
            case = TimedCase(len(job["prompts"]), len(job["prompts"][0]), job["new"][0])
            first, later = case.passes(self.generator)
            return {"seconds": first, "later_pass": later}
        how = {"greedy": {"strategy": "greedy"}, "sample": job["options"]}
        how["beam"] = {"strategy": "beam", **job["options"]}
        processors = self.processors[: job["processors"]]
        lengths = job["new"] if len(set(job["new"])) > 1 else job["new"][0]
        started = time.perf_counter()
        made = self.generator.generate(
            job["prompts"],
            max_new_tokens=lengths,
            eos_token_id=None,
            **({"processors": processors} if processors else {}),
            **({"seed": 0} if job["do"] == "sample" else {}),
            **how[job["do"]],
        )
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": [list(each.tokens) for each in made.completions]}


class _Bias(LogitsProcessor):
    """Moves all logits."""

    name: ClassVar[str] = "bench_bias"

    def process(self, logits: torch.Tensor, rows: Rows) -> torch.Tensor:
        return logits + 0.125


class _Scale(LogitsProcessor):
    """Flattens all logits."""

    name: ClassVar[str] = "bench_scale"

    def process(self, logits: torch.Tensor, rows: Rows) -> torch.Tensor:
        return logits * 0.75


class _Ban(LogitsProcessor):
    """Takes a token away."""

    name: ClassVar[str] = "bench_ban"

    def process(self, logits: torch.Tensor, rows: Rows) -> torch.Tensor:
        logits = logits.clone()
        logits[:, 7] = -torch.inf
        return logits
