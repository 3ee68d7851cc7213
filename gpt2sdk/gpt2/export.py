"""A GPT-2's folder in the Hugging Face layout, which any transformers version loads."""

from pathlib import Path

from torch import nn

from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.config import GPT2Config
from gpt2sdk.files.model_folder import MAX_SHARD_SIZE, save_model
from gpt2sdk.gpt2.architecture import GPT2Architecture
from gpt2sdk.tokenizer.tokenizer import Tokenizer


def save_pretrained(
    model: nn.Module,
    config: GPT2Config,
    tokenizer: Tokenizer | None,
    folder: str | Path,
    *,
    quantizer: Quantizer | None = None,
    max_shard_size: int = MAX_SHARD_SIZE,
) -> None:
    """Write a GPT-2's folder: config, weights and tokenizer; as a whole or not at all.

    Files of an older checkpoint in the folder are replaced, whatever else is there is kept. The
    generation config names all tokens that end a text. The weights are written slab by slab: no
    second copy of the model is made. Quantized matrices are written as they are.

    Args:
        model: A module with GPT-2's parameters.
        config: Its sizes; the dtype is taken from the weights.
        tokenizer: Its tokenizer; `None` writes none.
        folder: Where to; made if need be.
        quantizer: What made its quantized matrices, if it has any.
        max_shard_size: Most bytes of one weight file; more become several, with an index.

    Raises:
        CheckpointError: If the parameters don't fit the config, or writing fails; the folder is
            then as it was.
        OptionError: If `max_shard_size` is not positive, or the model is quantized and `quantizer`
            is missing.
    """
    save_model(
        model,
        GPT2Architecture(config=config),
        tokenizer,
        folder,
        quantizer=quantizer,
        max_shard_size=max_shard_size,
    )
