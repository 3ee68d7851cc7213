"""A run's figures for TensorBoard."""

from pathlib import Path

from gpt2sdk import OptionError
from gpt2sdk_train.events import Ended, Event, Saved, Started, Stepped, Validated


class TensorBoardLog:
    """Writes loss, learning rate, gradient norm, speed and validations as TensorBoard's scalars.

    Raises:
        OptionError: If the package `tensorboard` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional and slow
        except ImportError as error:
            raise OptionError(
                "TensorBoardLog needs the package tensorboard: pip install tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder))

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
            case Ended():
                self._writer.close()
            case Started() | Saved():
                pass

    def _add(self, step: int, name: str, value: float) -> None:
        self._writer.add_scalar(name, value, step)
