"""A quantizer's settings in a checkpoint."""

from collections.abc import Mapping
from typing import TypeVar

from gpt2sdk import CheckpointError, OptionError, Quantizer

QuantizerT = TypeVar("QuantizerT", bound=Quantizer)

METHOD, VERSION = "gpt2sdk", 1


def written(quantizer: Quantizer) -> dict[str, object]:
    """Return the `quantization_config` of a quantizer: who reads it, and its fields."""
    fields = quantizer.model_dump(mode="json")
    return {"quant_method": METHOD, "scheme": quantizer.name, "version": VERSION, **fields}


def claimed(kind: type[QuantizerT], config: Mapping[str, object]) -> QuantizerT | None:
    """Return the quantizer of a `quantization_config`, if it is of this kind.

    Raises:
        CheckpointError: If it is of another version, or its settings are not known.
    """
    fields = dict(config)
    if (fields.pop("quant_method", None), fields.pop("scheme", None)) != (METHOD, kind.name):
        return None
    version = fields.pop("version", None)
    if version != VERSION:
        raise CheckpointError(
            f"{kind.name} weights of version {version!r}: this gpt2sdk-quantization reads "
            f"version {VERSION}. Install the one that wrote them, or quantize again"
        )
    try:
        return kind(**fields)
    except OptionError as error:
        raise CheckpointError(f"the quantization_config of {kind.name} weights: {error}") from error
