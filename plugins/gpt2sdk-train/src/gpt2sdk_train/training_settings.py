"""How a model is trained, as one frozen value."""

from typing import Annotated, Literal

from pydantic import Field

from gpt2sdk import Component
from gpt2sdk_train.patterns import Patterns

Count = Annotated[int, Field(ge=1)]


class TrainingSettings(Component):
    """Everything that decides the weights, besides model, tokenizer and text.

    The same settings, text and initial weights give the same result on the same machine, however
    often training was interrupted.

    Raises:
        OptionError: A field is unknown, out of range or of the wrong type.

    Example:
        >>> settings = TrainingSettings(epochs=3, learning_rate=1e-3)
        >>> settings.batch_size
        16
        >>> TrainingSettings(learning_rate=-1.0)
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: learning_rate should be greater than 0, got -1.0
    """

    epochs: Annotated[
        float, Field(gt=0.0, description="Passes over the text; ignored where `steps` is given.")
    ] = 1.0
    steps: Annotated[
        int | None, Field(ge=1, description="Optimizer steps; `None` goes by `epochs`.")
    ] = None
    block_size: Annotated[
        int | None,
        Field(ge=1, description="Tokens of a block; `None` is the model's context window."),
    ] = None
    batch_size: Annotated[
        Count, Field(description="Blocks of one optimizer step, all processes together.")
    ] = 16
    micro_batch_size: Annotated[
        Count,
        Field(
            description="Most blocks of one forward pass of one process; a process's share of a "
            "batch is cut into passes of this size, whose gradients are added."
        ),
    ] = 16
    optimizer: Annotated[
        Literal["adamw", "muon"],
        Field(
            description="`muon` takes the blocks' matrices by Muon (torch 2.9 or newer) and the "
            "rest by AdamW."
        ),
    ] = "adamw"
    learning_rate: Annotated[
        float, Field(gt=0.0, description="The highest learning rate, at the end of the warm-up.")
    ] = 3e-4
    final_learning_rate: Annotated[
        float, Field(ge=0.0, le=1.0, description="The last learning rate, in parts of the highest.")
    ] = 0.0
    warmup_steps: Annotated[
        int, Field(ge=0, description="Steps over which the learning rate rises from 0.")
    ] = 20
    schedule: Annotated[
        Literal["cosine", "trapezoid"],
        Field(
            description="How the learning rate falls after the warm-up: over a half cosine, or, "
            "after a plateau, in a straight line over the last 40 % of the steps."
        ),
    ] = "cosine"
    weight_decay: Annotated[
        float,
        Field(
            ge=0.0,
            description="Decoupled decay of matrices; biases, norms and the tables of tokens and "
            "positions have none.",
        ),
    ] = 0.1
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0.0, lt=1.0)], ...],
        Field(
            min_length=2,
            max_length=2,
            description="Decay of AdamW's running mean and square of gradients.",
        ),
    ] = (0.9, 0.95)
    max_grad_norm: Annotated[
        float, Field(ge=0.0, description="Longer gradients are scaled down to this norm; 0 is off.")
    ] = 1.0
    mixed_precision: Annotated[
        Literal["no", "bf16"],
        Field(description="`bf16` computes products in bfloat16; weights and sums stay float32."),
    ] = "no"
    gradient_checkpointing: Annotated[
        bool, Field(description="Compute activations twice instead of keeping them.")
    ] = False
    evaluate_every: Annotated[
        int | None,
        Field(ge=1, description="Steps between validations; `None` is once per epoch."),
    ] = None
    save_every: Annotated[Count, Field(description="Steps between checkpoints.")] = 500
    patience: Annotated[
        int,
        Field(ge=0, description="Stop after so many validations without a new best; 0 never does."),
    ] = 0
    freeze: Annotated[
        Patterns,
        Field(description="Parameters that stay as they are, as patterns: `wte.*`, `h.[0-3].*`."),
    ] = ()
    seed: Annotated[
        int, Field(ge=0, description="Decides the order of the text and what dropout drops.")
    ] = 0
