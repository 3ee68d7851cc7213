"""The loop: steps, validations and checkpoints in their order."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import Tensor, nn

from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.checkpoints import Checkpoint, Checkpoints, TrainingState
from gpt2sdk_train.errors import TrainingError
from gpt2sdk_train.events import Ended, Event, Reason, Saved, Started, Stepped, Validated
from gpt2sdk_train.interruption import Interruption
from gpt2sdk_train.objective import Objective
from gpt2sdk_train.optimizers import make_optimizers
from gpt2sdk_train.packing import PackedTokens, derived_seed
from gpt2sdk_train.preparation import Plan
from gpt2sdk_train.schedule import learning_rate
from gpt2sdk_train.settings import TrainingSettings
from gpt2sdk_train.validation import Score, score
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
        plan: The same in numbers.
        text: What is trained on.
        validation: What decides which weights are the best; `None` for nothing.
    """

    model: GPT2
    parameters: Mapping[str, nn.Parameter]
    weights: Weights
    settings: TrainingSettings
    plan: Plan
    text: PackedTokens
    validation: PackedTokens | None

    def fresh_state(self) -> TrainingState:
        """Return the state before the first step."""
        digests = (self.text.digest, self.validation.digest if self.validation else "")
        return TrainingState(0, self.settings.model_dump(mode="json"), digests)


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
        checkpoints: Checkpoints,
        tell: Callable[[Event], None],
    ) -> None:
        self._accelerator = accelerator
        self._task = task
        self._checkpoints = checkpoints
        self._tell = tell
        self._objective = Objective(task.model, bf16=task.settings.mixed_precision == "bf16")
        self._optimizers = make_optimizers(task.parameters, task.settings)
        self._prepared: nn.Module = accelerator.prepare(self._objective)
        self._speed = 0.0
        self._saved: Checkpoint | None = None
        self.state = task.fresh_state()

    def restore(self, checkpoint: Checkpoint, state: TrainingState) -> None:
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
            TrainingError: The loss or the gradient is no longer a number.
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
        plan, settings = self._task.plan, self._task.settings
        reason: Reason = "finished"
        while self.state.step < plan.steps:
            if settings.patience and self.state.disappointments >= settings.patience:
                reason = "early_stopping"
                break
            stop = self._step(wanted=interruption.wanted)
            last = self.state.step == plan.steps
            if self._task.validation and (last or self.state.step % plan.evaluate_every == 0):
                self._validate(self._task.validation)
            if stop:
                reason = "interrupted"
                break
            if self.state.step % settings.save_every == 0:
                self._save()
        self._save()
        return reason

    def _tell_start(self) -> None:
        task = self._task
        count = sum(parameter.numel() for parameter in task.parameters.values())
        processes = self._accelerator.num_processes
        self._tell(Started(self.state.step, task.plan.steps, count, len(task.text), processes))

    def _step(self, *, wanted: bool) -> bool:
        """Make one step, and return whether a process is to be interrupted."""
        plan, settings = self._task.plan, self._task.settings
        started = time.perf_counter()
        rate = learning_rate(settings, self.state.step, plan.steps)
        for group in (group for one in self._optimizers for group in one.param_groups):
            group["lr"] = rate
        torch.manual_seed(
            derived_seed(settings.seed, "dropout", self.state.step, self._accelerator.process_index)
        )
        loss, stop = self._backward(wanted=wanted)
        norm = self._clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_a_number(loss, norm)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step = self.state.step + 1
        self.state = replace(self.state, step=step)
        speed = settings.batch_size * plan.order.size / (time.perf_counter() - started)
        self._speed += (_SMOOTHING if self._speed else 1.0) * (speed - self._speed)
        epoch = step * settings.batch_size / plan.order.per_epoch
        self._tell(Stepped(step, epoch, loss, rate, norm, self._speed))
        return stop

    def _backward(self, *, wanted: bool) -> tuple[float, bool]:
        """Add up the gradients of this process's share of the batch, a pass at a time."""
        plan, settings = self._task.plan, self._task.settings
        accelerator = self._accelerator
        first = self.state.step * settings.batch_size + accelerator.process_index
        places = range(first, first + settings.batch_size, accelerator.num_processes)[: plan.share]
        blocks = plan.order.take(places).to(accelerator.device)
        total = torch.zeros((), device=accelerator.device)
        passes = torch.split(blocks, settings.micro_batch_size)
        for number, part in enumerate(passes, start=1):
            alone = accelerator.no_sync(self._prepared) if number < len(passes) else nullcontext()
            with alone:
                loss: Tensor = self._prepared(part) * (len(part) / plan.share)
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

    def _score(self, text: PackedTokens) -> Score:
        accelerator = self._accelerator
        part = (accelerator.process_index, accelerator.num_processes)
        own = score(self._objective, text, size=self._task.plan.order.size, part=part)
        sums = torch.tensor([own.nats, own.tokens], dtype=torch.float64)
        nats, tokens = accelerator.reduce(sums.to(accelerator.device), reduction="sum").tolist()
        return Score(nats, int(tokens), text.nbytes)

    def _save(self) -> None:
        if self._saved and self._saved.step == self.state.step:
            return
        if self._accelerator.is_main_process:
            self._checkpoints.save(self.state, self._task.weights, self._optimizers)
        self._accelerator.wait_for_everyone()
        self._saved = self._checkpoints.of(self.state.step)
        self._tell(Saved(self._saved.step, self._saved.folder))

    def _not_a_number(self, loss: float, norm: float) -> TrainingError:
        what = "loss" if not math.isfinite(loss) else "gradient"
        saved = self._saved
        kept = (
            f"the weights of step {saved.step} are in {saved.folder}"
            if saved
            else "no checkpoint was written yet"
        )
        return TrainingError(
            f"step {self.state.step + 1}: the {what} is {loss if what == 'loss' else norm}, "
            f"expected a finite number; {kept}. Try a lower learning_rate or a longer warmup",
            step=self.state.step,
            checkpoint=saved.folder if saved else None,
        )
