"""The processes that train together, as accelerate's launcher or torchrun started them."""

import os

import torch
from accelerate import Accelerator, DistributedType  # type: ignore[import-untyped]
from accelerate.utils import GradientAccumulationPlugin  # type: ignore[import-untyped]

from gpt2sdk import OptionError
from gpt2sdk_train.training_settings import TrainingSettings

_OFFERED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
# What `accelerate launch` hands on to what it starts.
_PRECISION = "ACCELERATE_MIXED_PRECISION"
_SHARDING = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def join_processes(settings: TrainingSettings) -> Accelerator:
    """Join the other processes, if there are any.

    Precision and the adding of gradients follow from the settings alone: accelerate is told to do
    neither.

    Raises:
        OptionError: If the launcher was asked for a kind of training that is not offered, or for
            another precision than the settings.
    """
    _check_launcher(settings)
    try:
        accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="no",
            # Otherwise the launcher's number would scale the gradients once more.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dynamo_backend="no",
        )
    except (ValueError, NotImplementedError, ImportError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OptionError(f"accelerate cannot be set up: {reason}", name="processes") from error
    if accelerator.distributed_type not in _OFFERED:
        raise _not_offered(str(accelerator.distributed_type.value))
    return accelerator


def _check_launcher(settings: TrainingSettings) -> None:
    for variable, kind in _SHARDING.items():
        if os.environ.get(variable, "").lower() in ("1", "true"):
            raise _not_offered(kind)
    asked = os.environ.get(_PRECISION, "no")
    if asked not in ("no", settings.mixed_precision):
        raise OptionError(
            f"accelerate's launcher was given mixed_precision={asked}, the settings "
            f"{settings.mixed_precision}: expected it in the settings, which offer no and bf16",
            name="mixed_precision",
            value=asked,
            expected=settings.mixed_precision,
        )


def _not_offered(kind: str) -> OptionError:
    return OptionError(
        f"{kind} is not offered: expected one process, or several on CPUs or CUDA devices that "
        "each hold the whole model",
        name="processes",
        value=kind,
        expected="NO, MULTI_CPU or MULTI_GPU",
    )
