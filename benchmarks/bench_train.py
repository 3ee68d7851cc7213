"""Training speed beside transformers' Trainer: same weights, same tokens, same optimizer, one run.

A GPT-2 of 6 blocks and 5.9 million parameters from scratch, 16 blocks of 256 tokens a step, AdamW
with clipping, with GPT-2's dropout of 0.1 everywhere and without any on attention weights, in
float32 and with products in bfloat16. The two take turns, a few steps each; tokens per second are
those of the median step, from the end of one step to the end of the next.

    python benchmarks/bench_train.py [--rounds 4] [--steps 5]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from record import save
from torch.utils.data import Dataset
from transformers import GPT2Config as PeerConfig
from transformers import GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import Event, Stepped, TrainingSettings, train, train_tokenizer

BATCH, TIME, VOCABULARY = 16, 256, 4096
SIZES = {"vocab_size": VOCABULARY, "n_positions": TIME, "n_embd": 256, "n_layer": 6, "n_head": 4}
Steps = Callable[[int], list[float]]


class Blocks(Dataset):
    """Random tokens, as the Trainer wants them."""

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(number)
        tokens = torch.randint(VOCABULARY, (TIME,), generator=generator)
        return {"input_ids": tokens, "labels": tokens}


class Clock(TrainerCallback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_arguments: object, **_options: object) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def between(ends: list[float]) -> list[float]:
    """How long the steps after the first took."""
    return [after - before for before, after in pairwise(ends)]


def theirs(dropout: float, *, bf16: bool) -> Steps:
    """Make transformers' training."""
    model = GPT2LMHeadModel(PeerConfig(**SIZES, attn_pdrop=dropout, use_cache=False))

    def run(steps: int) -> list[float]:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                max_steps=steps,
                per_device_train_batch_size=BATCH,
                learning_rate=1e-4,
                weight_decay=0.1,
                bf16=bf16,
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            Trainer(model, arguments, train_dataset=Blocks(), callbacks=[clock]).train()
        return between(clock.ends)

    return run


def ours(dropout: float, *, bf16: bool) -> Steps:
    """Make gpt2sdk's training."""
    model = GPT2(GPT2Config(**SIZES, attn_pdrop=dropout, bos_token_id=0, eos_token_id=0))
    tokenizer = train_tokenizer(["text"], vocab_size=257)
    words = [chr(ord("a") + number % 26) for number in range(20_000)]
    text = ["".join(words)]

    def run(steps: int) -> list[float]:
        ends: list[float] = []

        def watch(event: Event) -> None:
            if isinstance(event, Stepped):
                ends.append(time.perf_counter())

        settings = TrainingSettings(
            steps=steps,
            batch_size=BATCH,
            micro_batch_size=BATCH,
            learning_rate=1e-4,
            mixed_precision="bf16" if bf16 else "no",
        )
        with tempfile.TemporaryDirectory() as folder:
            train(model, tokenizer, text, settings, output=folder, observers=[watch])
        return between(ends)

    return run


def compare(dropout: float, *, bf16: bool, rounds: int, steps: int) -> list[dict[str, object]]:
    """Let both train in turns."""
    contestants = {
        "transformers Trainer": theirs(dropout, bf16=bf16),
        "gpt2sdk": ours(dropout, bf16=bf16),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in contestants if turn % 2 == 0 else reversed(contestants):
            seconds[name] += contestants[name](steps)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {
            "precision": "bfloat16" if bf16 else "float32",
            "attention_dropout": dropout,
            "engine": name,
            "tokens_per_second": BATCH * TIME / median,
            "times_trainer": medians["transformers Trainer"] / median,
        }
        for name, median in medians.items()
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    rows = [
        row
        for bf16 in (False, True)
        for dropout in (0.1, 0.0)
        for row in compare(dropout, bf16=bf16, rounds=given.rounds, steps=given.steps)
    ]
    save("train", rows)


if __name__ == "__main__":
    main()
