"""What a training run tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Reason = Literal["finished", "early_stopping", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Started:
    """A run begins, or goes on.

    Attributes:
        step: Optimizer steps that were made before.
        steps: How many there will be.
        parameters: How many numbers are trained.
        tokens: Tokens of the text.
        processes: How many processes train together.
    """

    step: int
    steps: int
    parameters: int
    tokens: int
    processes: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """An optimizer step was made.

    Attributes:
        step: Its number, from 1.
        epoch: Passes over the text so far.
        loss: The batch's mean loss, in nats per token, before the step.
        learning_rate: The step's learning rate.
        gradient_norm: The gradient's norm before clipping.
        tokens_per_second: Tokens trained on per second, all processes together, averaged over the
            last steps; validations and checkpoints not counted.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Validated:
    """The validation text was scored.

    Attributes:
        step: Steps made.
        loss: Mean loss in nats per token, in windows side by side.
        bits_per_byte: The same in bits per byte of UTF-8.
        best: Whether it is the lowest so far.
    """

    step: int
    loss: float
    bits_per_byte: float
    best: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on the disk.

    Attributes:
        step: Steps made.
        folder: Where it is.
    """

    step: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over.

    Attributes:
        step: Steps made.
        reason: Why.
    """

    step: int
    reason: Reason


Event = Started | Stepped | Validated | Saved | Ended
Observer = Callable[[Event], None]
"""Called with each event, in the main process only, between steps."""
