"""The loop: steps, validations and checkpoints in their order."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import Tensor, nn

from gpt2sdk_train.checkpoints import TrainingCheckpoint, TrainingCheckpoints, TrainingState
from gpt2sdk_train.errors import TrainingError
from gpt2sdk_train.events import Ended, Event, Reason, Saved, Started, Stepped, Validated
from gpt2sdk_train.interruption import Interruption
from gpt2sdk_train.module_layout import AdaptableLM
from gpt2sdk_train.network_objective import make_objective
from gpt2sdk_train.optimizers import make_optimizers
from gpt2sdk_train.packing import PackedTokens, derived_seed
from gpt2sdk_train.preparation import Workload
from gpt2sdk_train.resumption import describe
from gpt2sdk_train.schedule import learning_rate
from gpt2sdk_train.training_settings import TrainingSettings
from gpt2sdk_train.validation import ValidationScore, score
from gpt2sdk_train.weights import Weights

# Weight of the last step in the averaged speed.
_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, on what and how.

    Attributes:
        model: The model.
        parameters: Those of its parameters that are trained, by name.
        weights: What checkpoints hold of it.
        settings: How.
        workload: The same in numbers.
        text: What is trained on.
        validation: What decides which weights are the best; `None` for nothing.
        processes: How many processes train together.
    """

    model: AdaptableLM
    parameters: Mapping[str, nn.Parameter]
    weights: Weights
    settings: TrainingSettings
    workload: Workload
    text: PackedTokens
    validation: PackedTokens | None
    processes: int

    def fresh_state(self) -> TrainingState:
        """Return the state before the first step."""
        digests = (self.text.digest, self.validation.digest if self.validation else "")
        trained = describe(self.model, self.weights, self.processes)
        return TrainingState(0, self.settings.model_dump(mode="json"), digests, trained)


class Loop:
    """Makes the steps of one run.

    Everything random follows from the seed, the step and the process, so a run goes on exactly
    where a checkpoint was made.

    Attributes:
        state: Where the run is.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        task: Task,
        checkpoints: TrainingCheckpoints,
        tell: Callable[[Event], None],
    ) -> None:
        self._accelerator = accelerator
        self._task = task
        self._checkpoints = checkpoints
        self._observers = tell
        self._objective = make_objective(task.model, bf16=task.settings.mixed_precision == "bf16")
        self._optimizers = make_optimizers(task.parameters, task.settings)
        self._prepared: nn.Module = accelerator.prepare(self._objective)
        self._speed = 0.0
        self._saved: TrainingCheckpoint | None = None
        self.state = task.fresh_state()

    def restore(self, checkpoint: TrainingCheckpoint, state: TrainingState) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: If it cannot be read.
        """
        checkpoint.restore(self._task.weights, self._optimizers)
        self.state = replace(state, settings=self.state.settings)
        self._saved = checkpoint

    def run(self) -> Reason:
        """Make the steps that are left, and return why it ended.

        Raises:
            CheckpointError: A checkpoint cannot be written.
            TrainingError: The loss, the gradient or a weight is no longer a number, or the log
                cannot be written.
        """
        reason: Reason = "failed"
        self._tell_start()
        self._prepared.train()
        interruption = Interruption()
        try:
            with interruption.watched():
                reason = self._steps(interruption)
        finally:
            self._tell(Ended(self.state.step, reason))
        return reason

    def _steps(self, interruption: Interruption) -> Reason:
        workload, settings = self._task.workload, self._task.settings
        reason: Reason = "finished"
        while self.state.step < workload.steps:
            if settings.patience and self.state.disappointments >= settings.patience:
                reason = "early_stopping"
                break
            stop = self._step(wanted=interruption.wanted)
            last = self.state.step == workload.steps
            if self._task.validation and (last or self.state.step % workload.evaluate_every == 0):
                self._validate(self._task.validation)
            if stop:
                reason = "interrupted"
                break
            if self.state.step % settings.save_every == 0:
                self._save()
        self._save()
        return reason

    def _tell(self, event: Event) -> None:
        try:
            self._observers(event)
        except TrainingError as error:
            raise self._failed(str(error)) from error

    def _tell_start(self) -> None:
        task = self._task
        count = sum(parameter.numel() for parameter in task.parameters.values())
        tokens = len(task.text)
        self._tell(Started(self.state.step, task.workload.steps, count, tokens, task.processes))

    def _step(self, *, wanted: bool) -> bool:
        """Make one step, and return whether a process is to be interrupted."""
        workload, settings = self._task.workload, self._task.settings
        started = time.perf_counter()
        rate = learning_rate(settings, self.state.step, workload.steps)
        for group in (group for one in self._optimizers for group in one.param_groups):
            group["lr"] = rate
        torch.manual_seed(
            derived_seed(settings.seed, "dropout", self.state.step, self._accelerator.process_index)
        )
        loss, stop = self._backward(wanted=wanted)
        norm = self._clip()
        for what, value in (("loss", loss), ("gradient", norm)):
            self._check_finite(self.state.step + 1, what, value)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step = self.state.step + 1
        self.state = replace(self.state, step=step)
        speed = settings.batch_size * workload.order.size / (time.perf_counter() - started)
        self._speed += (_SMOOTHING if self._speed else 1.0) * (speed - self._speed)
        epoch = step * settings.batch_size / workload.order.per_epoch
        self._tell(Stepped(step, epoch, loss, rate, norm, self._speed))
        return stop

    def _backward(self, *, wanted: bool) -> tuple[float, bool]:
        """Add up the gradients of this process's share of the batch, a pass at a time."""
        workload, settings = self._task.workload, self._task.settings
        accelerator = self._accelerator
        first = self.state.step * settings.batch_size + accelerator.process_index
        places = range(first, first + settings.batch_size, accelerator.num_processes)[
            : workload.share
        ]
        blocks = workload.order.take(places).to(accelerator.device)
        total = torch.zeros((), device=accelerator.device)
        passes = torch.split(blocks, settings.micro_batch_size)
        for number, part in enumerate(passes, start=1):
            alone = accelerator.no_sync(self._prepared) if number < len(passes) else nullcontext()
            with alone, self._objective.attending():
                loss: Tensor = self._prepared(part) * (len(part) / workload.share)
                accelerator.backward(loss)
            total += loss.detach()
        # One message between processes carries both.
        mean = accelerator.reduce(
            torch.stack([total, torch.full_like(total, float(wanted))]), reduction="mean"
        )
        return mean[0].item(), mean[1].item() > 0.0

    def _clip(self) -> float:
        parameters = list(self._task.parameters.values())
        limit = self._task.settings.max_grad_norm or math.inf
        return float(nn.utils.clip_grad_norm_(parameters, limit))

    def _validate(self, text: PackedTokens) -> None:
        found = self._score(text)
        self._check_finite(self.state.step, "validation loss", found.loss)
        before = self.state.best
        better = before is None or found.loss < before.loss
        event = Validated(self.state.step, found.loss, found.bits_per_byte, better)
        self.state = replace(
            self.state,
            best=event if better else before,
            disappointments=0 if better else self.state.disappointments + 1,
        )
        self._tell(event)
        if better:
            self._save()

    def _score(self, text: PackedTokens) -> ValidationScore:
        accelerator = self._accelerator
        part = (accelerator.process_index, accelerator.num_processes)
        own = score(self._objective, text, size=self._task.workload.order.size, part=part)
        sums = torch.tensor([own.nats, own.tokens], dtype=torch.float64)
        nats, tokens = accelerator.reduce(sums.to(accelerator.device), reduction="sum").tolist()
        return ValidationScore(nats, int(tokens), text.nbytes)

    def _save(self) -> None:
        if self._saved and self._saved.step == self.state.step:
            return
        self._check_weights()
        if self._accelerator.is_main_process:
            self._checkpoints.save(self.state, self._task.weights, self._optimizers)
        self._accelerator.wait_for_everyone()
        self._saved = self._checkpoints.of(self.state.step)
        self._tell(Saved(self._saved.step, self._saved.folder))

    def _check_weights(self) -> None:
        """Make sure that the weights are worth keeping, before they replace those that were.

        The loss of a step is that before it, so what the latest step made is tried on a block.

        Raises:
            TrainingError: If one is no number, or the loss with them is none.
        """
        for name, parameter in self._task.parameters.items():
            if not torch.isfinite(parameter).all():
                raise self._not_a_number(self.state.step, name, math.nan)
        place = (self.state.step - 1) * self._task.settings.batch_size
        block = self._task.workload.order.take([place]).to(self._accelerator.device)
        self._objective.eval()
        loss = self._objective.losses(block).mean()
        self._objective.train()
        # All processes have to agree on going on.
        mean: Tensor = self._accelerator.reduce(loss, reduction="mean")
        self._check_finite(self.state.step, "loss after it", mean.item())

    def _check_finite(self, step: int, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise self._not_a_number(step, what, value)

    def _not_a_number(self, step: int, what: str, value: float) -> TrainingError:
        return self._failed(
            f"step {step}: the {what} is {value}, expected a finite number",
            "Try a lower learning_rate or a longer warmup",
        )

    def _failed(self, problem: str, advice: str = "") -> TrainingError:
        """Make the error that names the checkpoint to go on from."""
        saved = self._saved
        kept = (
            f"the weights of step {saved.step} are in {saved.folder}"
            if saved
            else "no checkpoint was written yet"
        )
        return TrainingError(
            f"{problem}; {kept}{'. ' if advice else ''}{advice}",
            step=self.state.step,
            checkpoint=saved.folder if saved else None,
        )
