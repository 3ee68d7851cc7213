"""A run's figures for TensorBoard."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2sdk import OptionError
from gpt2sdk_train.events import Ended, Event, Saved, Started, Stepped, Validated

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLog:
    """Writes loss, learning rate, gradient norm, speed and validations as TensorBoard's scalars.

    Files are made when a run starts, by the process that is told so.

    Raises:
        OptionError: If the package `tensorboard` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            # Optional, and slow to import.
            from torch.utils.tensorboard import SummaryWriter as Writer  # noqa: PLC0415
        except ImportError as error:
            raise OptionError(
                "TensorBoardLog needs the package tensorboard: pip install tensorboard"
            ) from error
        self._open: Callable[[], SummaryWriter] = partial(Writer, str(folder))
        self._writer: SummaryWriter | None = None

    def __call__(self, event: Event) -> None:
        """Write an event's figures."""
        match event:
            case Stepped():
                self._add(event.step, "loss/train", event.loss)
                self._add(event.step, "learning_rate", event.learning_rate)
                self._add(event.step, "gradient_norm", event.gradient_norm)
                self._add(event.step, "tokens_per_second", event.tokens_per_second)
            case Validated():
                self._add(event.step, "loss/validation", event.loss)
                self._add(event.step, "bits_per_byte", event.bits_per_byte)
            case Started():
                self._writer = self._open()
            case Ended() if self._writer is not None:
                self._writer.close()
            case Ended() | Saved():
                pass

    def _add(self, step: int, name: str, value: float) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)
