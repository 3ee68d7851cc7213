"""What is looked at before any work: settings, text and model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from gpt2sdk import OptionError, Quantized, Tokenizer, TokenizerError, argument
from gpt2sdk_train.adapters import Adapters
from gpt2sdk_train.documents import check_documents
from gpt2sdk_train.module_layout import AdaptableLM, ModuleLayout
from gpt2sdk_train.packing import BlockOrder, PackedTokens
from gpt2sdk_train.training_settings import TrainingSettings

# Most tokens of a block, unless more are asked for: windows of 100,000 tokens fit no memory.
_USUAL = 1024


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run has to do, in numbers.

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


def make_workload(
    settings: TrainingSettings, model: AdaptableLM, text: PackedTokens, processes: int
) -> Workload:
    """Turn settings into numbers of steps and blocks.

    Raises:
        OptionError: If blocks are longer than the context window, or a batch cannot be shared.
    """
    longest = min(model.context_length, _USUAL) if ModuleLayout.of(model).foreign else None
    size = settings.block_size or longest or model.context_length
    if size > model.context_length:
        raise _bad("block_size", size, f"at most the context window, {model.context_length}")
    if settings.batch_size % processes:
        raise _bad("batch_size", settings.batch_size, f"a multiple of the {processes} processes")
    order = BlockOrder(text, size=size, seed=settings.seed)
    per_epoch = order.per_epoch / settings.batch_size
    steps = settings.steps or max(1, math.ceil(settings.epochs * per_epoch))
    evaluate_every = settings.evaluate_every or max(1, math.ceil(per_epoch))
    return Workload(order, steps, evaluate_every, settings.batch_size // processes)


def check_model(
    model: AdaptableLM, tokenizer: Tokenizer, parameters: Mapping[str, nn.Parameter]
) -> None:
    """Make sure that the model can be trained on what the tokenizer makes.

    Raises:
        OptionError: If what is trained is not in float32, or all of a quantized model.
        TokenizerError: If the tokenizer has more tokens than the model.
    """
    if tokenizer.vocab_size > model.vocab_size:
        raise TokenizerError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {model.vocab_size}: "
            "expected the tokenizer that belongs to the model, or a model made for this one"
        )
    root = ModuleLayout.of(model).root
    quantized = any(isinstance(module, Quantized) for module in root.modules())
    if quantized and not Adapters(model).names:
        raise OptionError(
            "the model is quantized, and what is quantized cannot be trained: load it without "
            "quantization, or add an adapter and train that",
            name="quantization",
        )
    types = {str(parameter.dtype).removeprefix("torch.") for parameter in parameters.values()}
    for wrong in sorted(types - {"float32"}):
        raise _bad(
            "dtype",
            wrong,
            f"float32 weights: load with {argument('dtype', 'float32')}, or call model.float()",
        )


def check_validation(settings: TrainingSettings, validation: Sequence[str]) -> None:
    """Make sure that there is a validation text where a setting needs one.

    Raises:
        OptionError: If there is none, or it is one text instead of several.
    """
    check_documents(validation, "validation")
    if settings.patience and not validation:
        raise _bad("patience", settings.patience, "0, or a validation text that decides")


def _bad(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
