"""Networks of transformers, made so that loading can fill them: nothing shared, nothing forgotten.

A network is made on the meta device. What is no weight and still a number, as the frequencies of
rotary positions, is computed at once, on the CPU; a head that is tied to the table of tokens calls
that table instead of sharing its weight.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import CheckpointError
from gpt2sdk.gpt2 import Linear, Table
from gpt2sdk_transformers.exposed import asks_its_head, read_past

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


# Where a config names no limit: no row gets there.
_BOUNDLESS = 2**20


def make_network(config: "PretrainedConfig", dtype: torch.dtype) -> "PreTrainedModel":
    """Make the network of a config without weights; called under the meta device.

    Raises:
        CheckpointError: If a number that is no weight cannot be computed.
    """
    from transformers import AutoModelForCausalLM

    from gpt2sdk_transformers.conduit import RAGGED

    network = AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation=RAGGED, trust_remote_code=False
    )
    _untie(network)
    apart = _share(network)
    apart |= {network.get_submodule(name) for name in read_past(network)}
    if asks_its_head(network):
        apart.add(network.get_output_embeddings())
    for module in network.modules():
        if type(module) is nn.Linear and module not in apart:
            # The same, and its matrix may be held in the form that a CPU reads fastest.
            module.__class__ = Linear
    compute_buffers(network)
    return cast("PreTrainedModel", network.eval())


def context_length(config: "PretrainedConfig") -> int:
    """Return how many tokens a row can have.

    Two ways to stretch rotary positions change all frequencies once any row is long: then rows
    would not be strangers any more. So such models are read as far as they were trained without.
    """
    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    limit = int(getattr(text, "max_position_embeddings", 0) or 0) or _BOUNDLESS
    # Some have one for each type of layer.
    ropes = [rope, *(each for each in rope.values() if isinstance(each, dict))]
    stretched = [each for each in ropes if each.get("rope_type") in ("longrope", "dynamic")]
    return min(
        (int(each.get("original_max_position_embeddings") or limit) for each in stretched),
        default=limit,
    )


# What a layer may be that has keys and values of each token.
_ATTENDING = frozenset({"full_attention", "sliding_attention", "hybrid", "hybrid_sliding"})
# The others that a layer may be in a network that has layers with states.
_RECURRENT = frozenset({"linear_attention", "conv"})


def is_recurrent(config: "PretrainedConfig") -> bool:
    """Whether some layer has a state that each token changes."""
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or ())
    return bool(kinds & (_RECURRENT | {"hybrid", "hybrid_sliding"}))


def attending_layers(config: "PretrainedConfig") -> Sequence[int]:
    """Return the numbers of the layers that attend to tokens."""
    if not is_recurrent(config):
        return range(config.num_hidden_layers)
    return [at for at, kind in enumerate(config.layer_types) if kind in _ATTENDING]


def layer_config(config: "PretrainedConfig", layer: int) -> "PretrainedConfig":
    """Return the config of one layer: some models' layers differ in their sizes (Gemma 4)."""
    return config.get_text_config().per_layer_config[layer]


def token_numbers(config: "PretrainedConfig", layer: int) -> int:
    """Return how many numbers a layer keeps of a token: keys and values, of one width.

    A window saves nothing here: a row that is taken back needs what it had slid past.
    """
    own = layer_config(config, layer)
    heads = int(own.num_attention_heads)
    if getattr(own, "kv_lora_rank", None):
        wide = int(own.qk_nope_head_dim) + int(own.qk_rope_head_dim)
        return 2 * heads * max(wide, int(own.v_head_dim))
    shared = int(getattr(own, "num_key_value_heads", None) or heads)
    size = int(getattr(own, "head_dim", None) or own.hidden_size // heads)
    if own.model_type == "jetmoe":
        # They are written once for each expert that attends.
        return 2 * heads * int(own.kv_channels)
    if own.model_type == "mimo_v2_flash" and own.layer_types[layer] == "sliding_attention":
        shared *= 2
    return 2 * shared * max(size, int(getattr(own, "v_head_dim", None) or 0))


def logits_width(network: "PreTrainedModel") -> int:
    """Return how many logits a position has."""
    head = network.get_output_embeddings()
    return int(head.weight.shape[0])


def name_of(network: nn.Module, module: nn.Module | None) -> str:
    """Return a module's name in a network; empty where it is none of it."""
    return next((name for name, each in network.named_modules() if each is module), "")


def lasting_buffers(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the buffers that a checkpoint holds, as it holds parameters."""
    for path, module in network.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:  # noqa: SLF001 - torch tells no other way
                yield f"{path}.{name}".removeprefix("."), buffer


def compute_buffers(network: nn.Module) -> None:
    """Compute what is no weight, of a network without numbers.

    transformers does so when it loads a model: its `_init_weights` sets buffers, too, and leaves
    alone what has no numbers.

    Raises:
        CheckpointError: If something is left.
    """
    found: dict[str, list[str]] = {}
    for path, module in network.named_modules():
        names = [
            name
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.is_meta and name in module._non_persistent_buffers_set  # noqa: SLF001 - likewise
        ]
        if names:
            found[path] = names
        for name in names:
            buffer = module.get_buffer(name)
            with torch.device("cpu"):
                module.register_buffer(name, _unset(buffer), persistent=False)
    for path, names in found.items():
        # Some modules set those of the modules in them.
        for above in _upwards(path):
            with torch.device("cpu"):
                cast("PreTrainedModel", network)._init_weights(network.get_submodule(above))  # noqa: SLF001 - see above
            if not any(_is_unset(network.get_submodule(path).get_buffer(name)) for name in names):
                break
    left = [
        f"{path}.{name}"
        for path, names in found.items()
        for name in names
        if _is_unset(network.get_submodule(path).get_buffer(name))
    ]
    if left:
        raise CheckpointError(
            f"{type(network).__name__}: transformers does not say how to compute "
            f"{', '.join(left[:3])}: expected an architecture whose numbers are all in its weights"
        )


class SharedHead(nn.Module):
    """A head whose matrix is the table of tokens: it lets the table multiply."""

    def __init__(self, network: nn.Module, table: str, bias: nn.Parameter | None) -> None:
        super().__init__()
        # No child: it would be there twice. Looked up, since another module may take its place.
        self.__dict__["network"] = network
        self.table_name = table
        self.bias = bias

    @property
    def weight(self) -> Tensor:
        """The table's, for networks that ask of which type it is."""
        return cast("Tensor", self._table.weight)

    @override
    def forward(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        table = self._table
        if not isinstance(table, Table):
            message = f"{type(table).__name__} is no table that a head can read"
            raise TypeError(message)
        logits = table.attend(hidden)
        return logits if self.bias is None else logits + self.bias

    @property
    def _table(self) -> nn.Module:
        return cast("nn.Module", self.__dict__["network"].get_submodule(self.table_name))


class _TokenTable:
    """What a table of tokens does besides: vectors come in, and go out as logits."""

    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return functional.linear(x, self.weight)
        return cast("Tensor", super().forward(x))  # type: ignore[misc]

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry: by a call, which placements see."""
        return cast("Tensor", self(x))  # type: ignore[operator]


def _untie(network: "PreTrainedModel") -> None:
    """Let a head that shares the table's weight call the table."""
    head, table = network.get_output_embeddings(), network.get_input_embeddings()
    if head is None or getattr(head, "weight", None) is not table.weight:
        return
    kind = type(table)
    table.__class__ = type(
        f"Tied{kind.__name__}", (_TokenTable, kind), {"__module__": kind.__module__}
    )
    path = name_of(network, table)
    network.set_output_embeddings(SharedHead(network, path, getattr(head, "bias", None)))


def _upwards(path: str) -> Iterator[str]:
    """Yield the path of a module, and those of the modules around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield path


def _share(network: nn.Module) -> set[nn.Module]:
    """Let layers that share weights be one module, so that each weight has one place (Zamba).

    Returns:
        Those modules.
    """
    first: dict[tuple[object, ...], nn.Module] = {}
    shared: set[nn.Module] = set()
    for path, module in list(network.named_modules()):
        own = tuple(map(id, module.parameters(recurse=False)))
        if own and first.setdefault((type(module), *own), module) is not module:
            above, _, name = path.rpartition(".")
            kept = first[type(module), *own]
            setattr(network.get_submodule(above), name, kept)
            shared.add(kept)
    return shared


def _unset(buffer: Tensor) -> Tensor:
    """Return a buffer that shows whether it was written to."""
    if buffer.is_floating_point():
        return torch.full(buffer.shape, torch.nan, dtype=buffer.dtype, device="cpu")
    return torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu")


def _is_unset(buffer: Tensor) -> bool:
    return buffer.is_floating_point() and bool(buffer.isnan().any())
