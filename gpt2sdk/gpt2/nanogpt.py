"""The sizes of a model that nanoGPT trained: they lie in the weight file, not beside it."""

from collections.abc import Mapping
from pathlib import Path

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError

NANOGPT_NOTE = (
    "the sizes are nanoGPT's model_args, with activation_function='gelu': for a file of before "
    "June 2023, write a config.json that says 'gelu_new'"
)
"""What cannot be seen in the file."""

_SIZES = {
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "block_size": "n_positions",
    "vocab_size": "vocab_size",
}
_END_OF_TEXT = 50256


def nanogpt_config(model_args: Mapping[str, object], file: Path) -> GPT2Config:
    """Read the `model_args` of a nanoGPT checkpoint.

    Its feed-forward layers have the exact GELU, as nanoGPT since June 2023; until then it had
    GPT-2's. With GPT-2's vocabulary texts end with GPT-2's end token, as nanoGPT's data does;
    models of letters have none.

    Args:
        model_args: What the file holds under this name.
        file: Where it lies, for messages.

    Raises:
        CheckpointError: If a size is absent or out of range.
    """
    absent = [name for name in _SIZES if model_args.get(name) is None]
    if absent:
        raise CheckpointError(
            f"{file}: expected nanoGPT's model_args to name {', '.join(absent)}, found "
            f"{', '.join(map(str, model_args)) or 'nothing'}: write a config.json beside the file",
            path=file,
        )
    sizes = {ours: model_args[theirs] for theirs, ours in _SIZES.items()}
    vocabulary = sizes["vocab_size"]
    end = _END_OF_TEXT if isinstance(vocabulary, int) and vocabulary > _END_OF_TEXT else None
    dropout = model_args.get("dropout", 0.0)
    return GPT2Config.from_dict(
        {
            "model_type": "gpt2",
            **sizes,
            "activation_function": "gelu",
            "bos_token_id": end,
            "eos_token_id": end,
            "resid_pdrop": dropout,
            "embd_pdrop": dropout,
            "attn_pdrop": dropout,
        },
        path=file,
    )
