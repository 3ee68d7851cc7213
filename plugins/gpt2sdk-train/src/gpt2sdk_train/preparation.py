"""What is looked at before any work: settings, text, model and an earlier run in the folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gpt2sdk import OptionError, TokenizerError
from gpt2sdk.gpt2 import GPT2, Tokenizer
from gpt2sdk_train.checkpoints import TrainingState
from gpt2sdk_train.packing import BlockOrder, PackedTokens
from gpt2sdk_train.settings import TrainingSettings

# These may differ when a run goes on: they decide how long it goes and what is written when, not
# what a step does (the number of steps stretches the learning rate, too).
_FREE = frozenset(
    {"epochs", "steps", "save_every", "evaluate_every", "patience", "micro_batch_size"}
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's numbers.

    Attributes:
        order: Which blocks come when.
        steps: Optimizer steps.
        evaluate_every: Steps between validations.
        share: Blocks of a step for each process.
    """

    order: BlockOrder
    steps: int
    evaluate_every: int
    share: int


def make_plan(settings: TrainingSettings, model: GPT2, text: PackedTokens, processes: int) -> Plan:
    """Turn settings into numbers of steps and blocks.

    Raises:
        OptionError: If blocks are longer than the context window, or a batch cannot be shared.
    """
    size = settings.block_size or model.context_length
    if size > model.context_length:
        raise _bad("block_size", size, f"at most the context window, {model.context_length}")
    if settings.batch_size % processes:
        raise _bad("batch_size", settings.batch_size, f"a multiple of the {processes} processes")
    order = BlockOrder(text, size=size, seed=settings.seed)
    per_epoch = order.per_epoch / settings.batch_size
    steps = settings.steps or max(1, math.ceil(settings.epochs * per_epoch))
    evaluate_every = settings.evaluate_every or max(1, math.ceil(per_epoch))
    return Plan(order, steps, evaluate_every, settings.batch_size // processes)


def check_model(model: GPT2, tokenizer: Tokenizer, parameters: Mapping[str, nn.Parameter]) -> None:
    """Make sure that the model can be trained on what the tokenizer makes.

    Raises:
        OptionError: If what is trained is not in float32.
        TokenizerError: If the tokenizer has more tokens than the model.
    """
    if tokenizer.vocab_size > model.vocab_size:
        raise TokenizerError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {model.vocab_size}: "
            "expected the tokenizer that belongs to the model, or a model made for this one"
        )
    types = {str(parameter.dtype).removeprefix("torch.") for parameter in parameters.values()}
    for wrong in sorted(types - {"float32"}):
        raise _bad(
            "dtype", wrong, "float32 weights: load with dtype='float32', or call model.float()"
        )


def check_resumable(before: TrainingState, now: TrainingState) -> None:
    """Make sure that an earlier run was about the same.

    Raises:
        OptionError: If a setting that shapes the steps, or a text, is another one.
    """
    for name, value in before.settings.items():
        given = now.settings.get(name)
        if name not in _FREE and given != value:
            raise _bad(name, given, f"{value!r}, as in the run that goes on here")
    for what, one, other in zip(("text", "validation"), before.digests, now.digests, strict=True):
        if one != other:
            raise OptionError(
                f"{what}: expected that of the run that goes on here, got another; choose another "
                "output folder to start anew",
                name=what,
            )


def check_output(folder: Path, *, resume: bool, found: bool) -> None:
    """Make sure that no earlier run is overwritten.

    Raises:
        OptionError: If there are checkpoints, and it was not asked to go on from them.
    """
    if found and not resume:
        raise _bad(
            "output",
            str(folder),
            "a folder without checkpoints; resume=True goes on from those that are there",
        )


def _bad(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
