"""`gpt2sdk train`: train a model on text files."""

import json
from pathlib import Path
from typing import Annotated

import typer

# Written down, since the help needs none of the libraries that the settings are made with.
SETTINGS = (
    "epochs, steps, block_size, batch_size, micro_batch_size, optimizer, learning_rate, "
    "final_learning_rate, warmup_steps, schedule, weight_decay, betas, max_grad_norm, "
    "mixed_precision, gradient_checkpointing, evaluate_every, save_every, patience, freeze, seed"
)
LORA_SETTINGS = "rank, alpha, rank_stabilized, dora, dropout, targets, base_model"

Texts = Annotated[
    list[Path], typer.Argument(help="Text or .jsonl files, or folders of them.", show_default=False)
]
Output = Annotated[
    Path, typer.Option("--output", "-O", help="The folder of the run.", show_default=False)
]
Validation = Annotated[
    list[Path] | None,
    typer.Option("--validation", help="Text that decides which weights are the best; repeatable."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Train this model further; a fresh one without it."),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        help=f"A training setting, as name=value: {SETTINGS}; repeatable.",
        metavar="NAME=VALUE",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        help="A fresh model's size, as name=value: vocab_size, n_positions, n_embd, n_layer, "
        "n_head and all else of its config; repeatable.",
        metavar="NAME=VALUE",
    ),
]
LoRAOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        help="Train an adapter of --model instead of its weights, as name=value: "
        f"{LORA_SETTINGS}; repeatable.",
        metavar="NAME=VALUE",
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option("--adapter", help="Train the adapter of this folder further, on --model."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the latest checkpoint in the output folder.")
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Log for TensorBoard, into the output folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print every event as a line of JSON.")]


def train(  # noqa: PLR0913 - each is an option of the command
    texts: Texts,
    output: Output,
    *,
    model: Model = None,
    validation: Validation = None,
    option: Options = None,
    size: Sizes = None,
    lora: LoRAOptions = None,
    adapter: Adapter = None,
    resume: Resume = False,
    tensorboard: TensorBoard = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on text: a fresh one, or `--model` further, by adapters with `--lora`.

    The best weights are in OUTPUT/best; `gpt2sdk merge` makes a model of an adapter. Ctrl-C saves,
    `--resume` goes on. Several processes: `torchrun --nproc_per_node 2 -m gpt2sdk train …`.
    """
    # `gpt2sdk train --help` needs no torch.
    from gpt2sdk_train.command_line import Arguments, carry_out  # noqa: PLC0415

    arguments = Arguments(
        texts=tuple(texts),
        validation=tuple(validation or ()),
        output=output,
        model=model,
        settings=read_pairs(option),
        sizes=read_pairs(size),
        lora=None if lora is None else read_pairs(lora),
        adapter=adapter,
        resume=resume,
        tensorboard=tensorboard,
        as_json=as_json,
    )
    carry_out(arguments)


def read_pairs(pairs: list[str] | None) -> dict[str, object]:
    r"""Read `name=value`; a value that is JSON is what it says, any other is text.

    >>> read_pairs(["epochs=3", 'freeze=["wte.*"]', "optimizer=muon"])
    {'epochs': 3, 'freeze': ['wte.*'], 'optimizer': 'muon'}

    Raises:
        typer.BadParameter: If there is no `=`.
    """
    read: dict[str, object] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected name=value, got {pair}")
        try:
            read[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            read[name.replace("-", "_")] = value
    return read
