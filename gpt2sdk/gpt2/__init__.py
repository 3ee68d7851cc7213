"""The architecture that core ships: network, cache and checkpoint."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpt2sdk.gpt2.activations import Activation
    from gpt2sdk.gpt2.adjustable import Adjustable
    from gpt2sdk.gpt2.architecture import GPT2Architecture
    from gpt2sdk.gpt2.attention import Attend, CausalAttention, Heads
    from gpt2sdk.gpt2.block import Block
    from gpt2sdk.gpt2.cache import Cache
    from gpt2sdk.gpt2.capture import Activations
    from gpt2sdk.gpt2.checkpoint import load_model, open_checkpoint
    from gpt2sdk.gpt2.evaluation_mode import evaluating
    from gpt2sdk.gpt2.export import save_pretrained
    from gpt2sdk.gpt2.feed import check_fed
    from gpt2sdk.gpt2.head import Embedding, Table, TiedHead
    from gpt2sdk.gpt2.linear import Linear
    from gpt2sdk.gpt2.model import GPT2
    from gpt2sdk.gpt2.output import GPT2Output
    from gpt2sdk.gpt2.packable import Packable
    from gpt2sdk.gpt2.packed import may_pack, pack
    from gpt2sdk.gpt2.shallow import ShallowModel
    from gpt2sdk.gpt2.snapshot import Snapshot
    from gpt2sdk.gpt2.torch_runner import TorchRunner

_HOMES = {
    "gpt2sdk.gpt2.activations": ("Activation",),
    "gpt2sdk.gpt2.adjustable": ("Adjustable",),
    "gpt2sdk.gpt2.architecture": ("GPT2Architecture",),
    "gpt2sdk.gpt2.attention": ("Attend", "CausalAttention", "Heads"),
    "gpt2sdk.gpt2.block": ("Block",),
    "gpt2sdk.gpt2.cache": ("Cache",),
    "gpt2sdk.gpt2.capture": ("Activations",),
    "gpt2sdk.gpt2.checkpoint": ("load_model", "open_checkpoint"),
    "gpt2sdk.gpt2.evaluation_mode": ("evaluating",),
    "gpt2sdk.gpt2.export": ("save_pretrained",),
    "gpt2sdk.gpt2.feed": ("check_fed",),
    "gpt2sdk.gpt2.head": ("Embedding", "Table", "TiedHead"),
    "gpt2sdk.gpt2.linear": ("Linear",),
    "gpt2sdk.gpt2.model": ("GPT2",),
    "gpt2sdk.gpt2.output": ("GPT2Output",),
    "gpt2sdk.gpt2.packable": ("Packable",),
    "gpt2sdk.gpt2.packed": ("may_pack", "pack"),
    "gpt2sdk.gpt2.shallow": ("ShallowModel",),
    "gpt2sdk.gpt2.snapshot": ("Snapshot",),
    "gpt2sdk.gpt2.torch_runner": ("TorchRunner",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "GPT2",
    "Activation",
    "Activations",
    "Adjustable",
    "Attend",
    "Block",
    "Cache",
    "CausalAttention",
    "Embedding",
    "GPT2Architecture",
    "GPT2Output",
    "Heads",
    "Linear",
    "Packable",
    "ShallowModel",
    "Snapshot",
    "Table",
    "TiedHead",
    "TorchRunner",
    "check_fed",
    "evaluating",
    "load_model",
    "may_pack",
    "open_checkpoint",
    "pack",
    "save_pretrained",
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
