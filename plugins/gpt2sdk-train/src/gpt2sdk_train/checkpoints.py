"""Checkpoints: numbered folders that appear whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from gpt2sdk import CheckpointError
from gpt2sdk_train.events import Validated
from gpt2sdk_train.weights import Weights

_NAME = re.compile(r"step-(\d{8})")
_STATE = "training_state.json"
_OPTIMIZERS = "training_optimizers.pt"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a run has to know to go on, besides weights and the optimizers' memory.

    Attributes:
        step: Optimizer steps made.
        settings: The settings, as they were given.
        digests: Fingerprints of the text and the validation text.
        trained: What is trained, as `describe` in `preparation` puts it.
        best: The best validation; `None` before the first.
        disappointments: Validations since then.
    """

    step: int
    settings: dict[str, object]
    digests: tuple[str, str]
    trained: dict[str, object] = field(default_factory=dict)
    best: Validated | None = None
    disappointments: int = 0


@dataclass(frozen=True, slots=True)
class TrainingCheckpoint:
    """A checkpoint on the disk: a model's folder (or an adapter's) with two files more.

    Attributes:
        folder: Where it is.
        step: Optimizer steps made.
    """

    folder: Path
    step: int

    def state(self) -> TrainingState:
        """Read what the run has to know.

        Raises:
            CheckpointError: If it cannot be read.
        """
        try:
            values: dict[str, Any] = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            values["digests"] = tuple(values["digests"])
            values["best"] = values["best"] and Validated(**values["best"])
            return TrainingState(**values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _unreadable(self.folder / _STATE, error) from error

    def restore(self, weights: Weights, optimizers: Sequence[Optimizer]) -> None:
        """Put weights and the optimizers' memory back.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        weights.load(self.folder)
        file = self.folder / _OPTIMIZERS
        try:
            states = torch.load(file, map_location="cpu", weights_only=True)
            for optimizer, state in zip(optimizers, states, strict=True):
                optimizer.load_state_dict(state)
        except Exception as error:
            # A damaged pickle may raise almost anything.
            raise _unreadable(file, error) from error


class TrainingCheckpoints:
    """The checkpoints of one run: the latest, and the best by validation.

    Each is written under a hidden name, flushed to the disk and then renamed; older ones are
    removed afterwards. So at any moment the latest complete one is there, whatever kills the
    process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latest(self) -> TrainingCheckpoint | None:
        """Return the one with most steps."""
        return max(self._all(), key=lambda one: one.step, default=None)

    def of(self, step: int) -> TrainingCheckpoint:
        """Return the one of a step, whether it is there or not."""
        return TrainingCheckpoint(self.folder / f"step-{step:08}", step)

    def save(self, state: TrainingState, weights: Weights, optimizers: Sequence[Optimizer]) -> None:
        """Write a checkpoint, then remove those that are neither the latest nor the best.

        Raises:
            CheckpointError: If it cannot be written; all earlier ones are as they were.
        """
        with _appearing(self.of(state.step).folder) as new:
            weights.save(new)
            torch.save([optimizer.state_dict() for optimizer in optimizers], new / _OPTIMIZERS)
            written = json.dumps(asdict(state), indent=2, allow_nan=False)
            (new / _STATE).write_text(f"{written}\n", encoding="utf-8")
        for one in self._all():
            if one.step not in (state.step, state.best and state.best.step):
                shutil.rmtree(one.folder, ignore_errors=True)

    def publish(self, checkpoint: TrainingCheckpoint, target: Path) -> None:
        """Copy a checkpoint's model, without what only training needs, in place of a folder.

        Raises:
            CheckpointError: If it cannot be written.
        """
        with _appearing(target) as new:
            without = shutil.ignore_patterns(_STATE, _OPTIMIZERS)
            shutil.copytree(checkpoint.folder, new, ignore=without, dirs_exist_ok=True)

    def _all(self) -> Iterator[TrainingCheckpoint]:
        for folder in self.folder.glob("step-*"):
            if match := _NAME.fullmatch(folder.name):
                yield TrainingCheckpoint(folder, int(match[1]))


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Yield a hidden folder that takes the name `target` when the block ends well.

    A folder of this name is renamed before, and removed when the new one is in its place.
    """
    new, old = (target.with_name(f".{target.name}.{end}") for end in ("new", "old"))
    try:
        if old.exists() and not target.exists():
            old.rename(target)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        for path in [*new.rglob("*"), new]:
            _flush(path)
        _exchange(new, target, old)
        _flush(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError, CheckpointError) as error:
        raise CheckpointError(
            f"{target}: cannot be written: {_reason(error)}; earlier checkpoints are intact",
            path=target,
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`, and what had that name to `old`; or change nothing."""
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _reason(error: BaseException) -> str:
    """Say what the system said; `torch.save` turns a full disk into a RuntimeError."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _flush(path: Path) -> None:
    # Windows cannot open folders; there a rename is durable when it returns.
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return CheckpointError(f"{file}: cannot be read: {reason}", path=file)
