"""The architecture that core ships: network, cache, checkpoint and tokenizer."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpt2sdk.gpt2.architecture import GPT2Architecture
    from gpt2sdk.gpt2.attention import Attend, CausalAttention, Heads
    from gpt2sdk.gpt2.cache import Cache
    from gpt2sdk.gpt2.capture import Activations
    from gpt2sdk.gpt2.checkpoint import load_model, open_checkpoint
    from gpt2sdk.gpt2.document_encoder import DocumentEncoder
    from gpt2sdk.gpt2.documents import SEPARATOR, split_documents
    from gpt2sdk.gpt2.end_tokens import EndTokens, find_end_tokens
    from gpt2sdk.gpt2.export import save_pretrained
    from gpt2sdk.gpt2.head import Embedding, Table, TiedHead
    from gpt2sdk.gpt2.linear import Linear
    from gpt2sdk.gpt2.model import GPT2
    from gpt2sdk.gpt2.output import GPT2Output
    from gpt2sdk.gpt2.shallow import ShallowModel
    from gpt2sdk.gpt2.shape_table import ShapeRow, describe_shapes
    from gpt2sdk.gpt2.tensors import open_tensors
    from gpt2sdk.gpt2.tokenizer import Tokenizer

_HOMES = {
    "gpt2sdk.gpt2.architecture": ("GPT2Architecture",),
    "gpt2sdk.gpt2.attention": ("Attend", "CausalAttention", "Heads"),
    "gpt2sdk.gpt2.cache": ("Cache",),
    "gpt2sdk.gpt2.capture": ("Activations",),
    "gpt2sdk.gpt2.checkpoint": ("load_model", "open_checkpoint"),
    "gpt2sdk.gpt2.document_encoder": ("DocumentEncoder",),
    "gpt2sdk.gpt2.documents": ("SEPARATOR", "split_documents"),
    "gpt2sdk.gpt2.end_tokens": ("EndTokens", "find_end_tokens"),
    "gpt2sdk.gpt2.export": ("save_pretrained",),
    "gpt2sdk.gpt2.head": ("Embedding", "Table", "TiedHead"),
    "gpt2sdk.gpt2.linear": ("Linear",),
    "gpt2sdk.gpt2.model": ("GPT2",),
    "gpt2sdk.gpt2.output": ("GPT2Output",),
    "gpt2sdk.gpt2.shallow": ("ShallowModel",),
    "gpt2sdk.gpt2.shape_table": ("ShapeRow", "describe_shapes"),
    "gpt2sdk.gpt2.tensors": ("open_tensors",),
    "gpt2sdk.gpt2.tokenizer": ("Tokenizer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "GPT2",
    "SEPARATOR",
    "Activations",
    "Attend",
    "Cache",
    "CausalAttention",
    "DocumentEncoder",
    "Embedding",
    "EndTokens",
    "GPT2Architecture",
    "GPT2Output",
    "Heads",
    "Linear",
    "ShallowModel",
    "ShapeRow",
    "Table",
    "TiedHead",
    "Tokenizer",
    "describe_shapes",
    "find_end_tokens",
    "load_model",
    "open_checkpoint",
    "open_tensors",
    "save_pretrained",
    "split_documents",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that each part is loaded by who needs it."""
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
