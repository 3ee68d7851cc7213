"""Train the storyteller: a small GPT-2 that tells fairy tales.

`python scripts/train_storyteller.py corpus output` reads `train.txt` and `valid.txt` of the corpus
folder and leaves the model in `output/storyteller`. Stopped by Ctrl-C, a signal or a crash, the
same command goes on from the latest checkpoint. Two processes of one thread each share two cores
better than two threads do, and draw dropout of their own, so this command, and not the one above,
made the weights that are shipped:

    OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 scripts/train_storyteller.py corpus output

The options make smaller and larger models; their defaults are the storyteller. What becomes of it
is for `scripts/package_storyteller.py`.
"""

import argparse
import json
import time
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState

from gpt2sdk import GPT2Config, Tokenizer
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk_train import (
    Event,
    Stepped,
    TrainingSettings,
    read_documents,
    train,
    train_tokenizer,
)

CONTEXT = 512
HEAD_SIZE = 64
SETTINGS = TrainingSettings(
    steps=2200,
    batch_size=16,  # of 512 tokens each
    micro_batch_size=4,
    optimizer="muon",
    learning_rate=3e-3,
    warmup_steps=50,
    schedule="trapezoid",
    weight_decay=0.1,
    mixed_precision="bf16",
    evaluate_every=100,
    save_every=50,
    seed=1,
)


def make_model(tokenizer: Tokenizer, *, width: int, layers: int) -> GPT2:
    """Make a model with fresh weights: 5.9 million, where nothing else is asked for."""
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size,
        n_positions=CONTEXT,
        n_embd=width,
        n_layer=layers,
        n_head=width // HEAD_SIZE,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return GPT2(config, seed=1)


def report(event: Event) -> None:
    """Print every tenth step, and all that is not a step."""
    if not isinstance(event, Stepped) or event.step % 10 == 0:
        print(time.strftime("%H:%M:%S"), event, flush=True)


def main() -> None:
    """Train, round to bfloat16 and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with train.txt and valid.txt")
    parser.add_argument("output", type=Path, help="folder of the run")
    parser.add_argument("--steps", type=int, default=SETTINGS.steps, help="optimizer steps")
    parser.add_argument("--vocabulary", type=int, default=4096, help="tokens")
    parser.add_argument("--width", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--layers", type=int, default=6, help="blocks")
    given = parser.parse_args()
    # A run that was paused for a day may go on.
    PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=7))
    documents = read_documents(given.corpus / "train.txt")
    validation = read_documents(given.corpus / "valid.txt")
    tokenizer = train_tokenizer(documents, vocab_size=given.vocabulary)
    model = make_model(tokenizer, width=given.width, layers=given.layers)
    settings = SETTINGS.model_copy(update={"steps": given.steps})
    began = time.monotonic()
    result = train(
        model,
        tokenizer,
        documents,
        settings,
        output=given.output,
        validation=validation,
        observers=[report],
        resume=True,
    )
    if result.reason == "finished" and PartialState().is_main_process:
        model.to(torch.bfloat16)
        save_pretrained(model, model.config, tokenizer, given.output / "storyteller")
        parameters = sum(parameter.numel() for parameter in model.parameters())
        figures = {
            "parameters": parameters,
            "vocabulary": given.vocabulary,
            "width": given.width,
            "layers": given.layers,
            "step": result.best.step,
            "bits_per_byte": result.best.bits_per_byte,
            "minutes": (time.monotonic() - began) / 60,
        }
        (given.output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(figures)


if __name__ == "__main__":
    main()
