"""What goes wrong while training, besides bad options and files."""

from pathlib import Path

from gpt2sdk import GPT2SDKError


class TrainingError(GPT2SDKError, RuntimeError):
    """Training cannot go on; what was saved before is intact.

    Attributes:
        step: Optimizer steps that had been made.
        checkpoint: The latest checkpoint; `None` if none was written.
    """

    def __init__(self, message: str, *, step: int = 0, checkpoint: Path | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.checkpoint = checkpoint
