"""Training from scratch and fine-tuning, in one process or many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import nn

from gpt2sdk import CheckpointError, Tokenizer, find_end_tokens
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.checkpoints import TrainingCheckpoints
from gpt2sdk_train.dropout import fast_dropout
from gpt2sdk_train.events import Event, Observer, Reason, Validated
from gpt2sdk_train.log_file import JsonLinesLog
from gpt2sdk_train.loop import Loop, Task
from gpt2sdk_train.module_layout import AdaptableLM, ModuleLayout
from gpt2sdk_train.packing import PackedTokens
from gpt2sdk_train.preparation import check_model, check_validation, make_workload
from gpt2sdk_train.processes import join_processes
from gpt2sdk_train.resumption import check_resumable, earlier_checkpoint
from gpt2sdk_train.training_settings import TrainingSettings
from gpt2sdk_train.weights import trained_part

CHECKPOINTS = "checkpoints"
LOG_FILE = "log.jsonl"
BEST = "best"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run made.

    Attributes:
        folder: The best weights (without validation, the last) as a model's or adapter's folder.
        step: Optimizer steps made.
        reason: Why it ended: `finished`, `early_stopping` or `interrupted`.
        best: The validation of these weights; `None` without validation text.
    """

    folder: Path
    step: int
    reason: Reason
    best: Validated | None


def train(  # noqa: PLR0913 - what is trained, on what, how, where to, watched by whom
    model: AdaptableLM,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    settings: TrainingSettings | None = None,
    *,
    output: str | Path,
    validation: Sequence[str] = (),
    observers: Sequence[Observer] = (),
    resume: bool = False,
) -> TrainingResult:
    """Train a model: a fresh one from scratch, or a loaded one further.

    The model is changed in place, and ends with the weights of `TrainingResult.folder`, in
    evaluation mode. In `output` there will be `best/` (the result), `checkpoints/` (to go on from)
    and `log.jsonl`. Ctrl-C saves a checkpoint and ends; killed, a run loses the steps since its
    latest checkpoint.

    Started by `accelerate launch`, all processes together make the steps that one process would
    make with the same settings. What dropout drops then differs.

    Args:
        model: A model with float32 weights. If adapters were added to it, these are trained and
            everything else stays; otherwise all that `settings.freeze` does not name. A model of
            transformers has to have adapters.
        tokenizer: Its tokenizer.
        documents: The text. What ends a document in it also ends texts of the saved model.
        settings: How; the defaults if left out.
        output: The folder of the run.
        validation: Text that is not trained on: decides which weights are the best.
        observers: Called with each event, in the main process.
        resume: Go on from the latest checkpoint in `output`, if there is one.

    Raises:
        OptionError: A setting, the text or the folder does not fit; before any work.
        TokenizerError: The tokenizer has more tokens than the model; before any work.
        CheckpointError: A checkpoint cannot be written or read; earlier ones are intact.
        TrainingError: The loss or a weight is no longer a number, or the log cannot be written;
            the latest checkpoint is intact.
    """
    settings = settings or TrainingSettings()
    folder = Path(output)
    checkpoints = TrainingCheckpoints(folder / CHECKPOINTS)
    latest = earlier_checkpoint(checkpoints, resume=resume)
    check_validation(settings, validation)
    model.unpack()
    weights, parameters = trained_part(model, tokenizer, settings.freeze)
    check_model(model, tokenizer, parameters)
    ends = find_end_tokens(model.config if isinstance(model, GPT2) else None, tokenizer)
    text = PackedTokens.encode(documents, tokenizer, ends)
    held_out = PackedTokens.encode(validation, tokenizer, ends) if validation else None
    accelerator = join_processes(settings)
    processes = accelerator.num_processes
    workload = make_workload(settings, model, text, processes)
    task = Task(model, parameters, weights, settings, workload, text, held_out, processes)
    state = latest.state() if latest else None
    if state:
        check_resumable(state, task.fresh_state(), workload.steps)
    with _prepared(model, parameters, settings), torch.random.fork_rng(_cuda(accelerator)):
        loop = Loop(accelerator, task, checkpoints, _teller(accelerator, folder, observers))
        if latest and state:
            loop.restore(latest, state)
        reason = loop.run()
        best = loop.state.best
        result = checkpoints.of(best.step if best else loop.state.step)
        weights.load(result.folder)
    if accelerator.is_main_process:
        checkpoints.publish(result, folder / BEST)
    accelerator.wait_for_everyone()
    for module in (model, ModuleLayout.of(model).root):
        if isinstance(module, nn.Module):
            module.eval()
    return TrainingResult(folder / BEST, loop.state.step, reason, best)


@contextmanager
def _prepared(
    model: AdaptableLM, parameters: Mapping[str, nn.Parameter], settings: TrainingSettings
) -> Iterator[None]:
    """Set the model up for training, and back."""
    root = ModuleLayout.of(model).root
    before = {name: parameter.requires_grad for name, parameter in root.named_parameters()}
    checkpointing, training = model.gradient_checkpointing, root.training
    for name, parameter in root.named_parameters():
        parameter.requires_grad_(name in parameters)
    model.gradient_checkpointing = settings.gradient_checkpointing
    try:
        with fast_dropout(root):
            yield
    finally:
        model.gradient_checkpointing = checkpointing
        root.train(training)
        for name, parameter in root.named_parameters():
            parameter.requires_grad_(before[name])
            parameter.grad = None


def _teller(
    accelerator: Accelerator, folder: Path, observers: Sequence[Observer]
) -> Callable[[Event], None]:
    """Make what hands events to the log and the observers, in the main process."""
    told: list[Observer] = []
    if accelerator.is_main_process:
        _make(folder)
        told = [JsonLinesLog(folder / LOG_FILE), *observers]

    def tell(event: Event) -> None:
        # All are told, even where an earlier one fails.
        with ExitStack() as calls:
            for observer in reversed(told):
                calls.callback(observer, event)

    return tell


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be made: {error.strerror or error}", path=folder
        ) from error


def _cuda(accelerator: Accelerator) -> list[torch.device]:
    """Return the devices besides the CPU whose random state has to be given back."""
    return [accelerator.device] if accelerator.device.type == "cuda" else []
