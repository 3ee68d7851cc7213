"""A decoder-only network of transformers, fed by rows."""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from gpt2sdk import Quantized, Scores, residency_of
from gpt2sdk.gpt2 import Cache, Linear, Packable, Snapshot, check_fed, evaluating, pack
from gpt2sdk_transformers.answer import answering
from gpt2sdk_transformers.conduit import Conduit
from gpt2sdk_transformers.feed import UNDER_WAY, RaggedFeed, misfit
from gpt2sdk_transformers.given import check_layers, own_cache
from gpt2sdk_transformers.mixers import make_mixers
from gpt2sdk_transformers.network import attending_layers, logits_width
from gpt2sdk_transformers.recurrent_cache import RecurrentCache
from gpt2sdk_transformers.state_feed import StateFeed
from gpt2sdk_transformers.whole_sequences import WholeSequences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from gpt2sdk import KeyValueCache

# What families call the norm behind the blocks, and what stands behind that.
_NORMS = (
    "norm",
    "final_layernorm",
    "final_layer_norm",
    "final_norm",
    "ln_f",
    "norm_f",
    "layer_norm",
    "layernorm",
    "embedding_norm",
)
_BEHIND = ("project_out",)


class TransformersLM(WholeSequences):
    """A network of transformers as a `CausalLM`: ragged rows in one packed sequence.

    Attributes:
        network: The network itself, in whose config stands how it attends.
        vocab_size: How many logits a position has.
        context_length: How many tokens a slot can be fed.
        layers: How many blocks there are.
        attending: Those that have keys and values of their own.
        mixers: How many modules have a state that each token changes.
        width: Width of the residual stream.
    """

    def __init__(self, network: "PreTrainedModel", *, context_length: int) -> None:
        super().__init__(network)
        config = network.config.get_text_config()
        self.context_length = context_length
        self.vocab_size = logits_width(network)
        self.layers: int = config.num_hidden_layers
        self.width: int = config.hidden_size
        self.mixers = make_mixers(network)
        self._attend = attending_layers(config)
        shared = getattr(config, "num_kv_shared_layers", 0) or 0
        self.attending = frozenset(each for each in self._attend if each < self.layers - shared)
        words = inspect.signature(type(network).forward).parameters
        self._cache_word = "cache" if "cache" in words else "past_key_values"
        self._seen: Snapshot | None = None
        self._base = _base(network)
        self._stack = _stack(network, self._base, self.layers)
        network.get_submodule(self._base).register_forward_hook(_take)

    @property
    def device(self) -> torch.device:
        """Where logits come out, and where token tensors are wanted."""
        return next(self.network.parameters()).device

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks, in their order."""
        return list(self.network.get_submodule(self._stack[1]).children())

    def is_block(self, part: str) -> bool:
        """Whether a part is one of the blocks, rather than around or beside them."""
        stack, _, number = part.removeprefix("network.").rpartition(".")
        return stack == self._stack[1] and number.isdigit()

    def layer_of(self, part: str) -> int | None:
        """Return which layer's keys and values a part makes; `None` for none."""
        layer = int(part.rpartition(".")[2]) if self.is_block(part) else -1
        return layer if layer in self.attending else None

    def make_cache(self, slots: int) -> Cache | RecurrentCache:
        """Return an empty cache; it grows by itself as tokens are fed."""
        if self.mixers:
            return RecurrentCache(slots, layers=self.layers, limit=self.context_length)
        depth = len(self.attending)
        return Cache(slots, layers=self.layers, depth=depth, limit=self.context_length)

    def score(
        self,
        cache: "KeyValueCache",
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed `tokens[i]` to slot `i`, after what it holds, and score its last positions.

        No gradients, and no dropout even while training. The cache is changed only if all goes
        well.

        Raises:
            OptionError: If an argument does not fit the cache or the model.
            ContextOverflowError: If a slot would hold more than the context window.
        """
        own = own_cache(
            cache, layers=self.layers, limit=self.context_length, recurrent=bool(self.mixers)
        )
        anything = check_fed(own, tokens, keep, self.vocab_size)
        check_layers(hidden_states, self.layers)
        total = sum(keep)
        if not anything:
            return self._nothing(hidden_states)
        # A head may not be able to multiply nothing: it gets one position more.
        asked = keep if total else [len(row) and 1 for row in tokens]
        states = StateFeed(own, tokens, keep) if isinstance(own, RecurrentCache) else None
        feed = RaggedFeed(
            own.keys if isinstance(own, RecurrentCache) else own,
            tokens if states is None else states.fed,
            asked,
            hidden_states,
            width=self.width,
            device=self.device,
            states=states,
        )
        logits = self._compute(feed)[:total]
        if states is not None and states.ran != self.mixers:
            raise misfit(f"{states.ran} of {self.mixers} layers with states were called")
        feed.finish()
        hidden = {layer: feed.hidden[layer][:total] for layer in hidden_states}
        return Scores(logits, hidden, () if states is None else states.again)

    def final_norm(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        """Return hidden states as they are behind the last norm."""
        stack = self.network.get_submodule(self._stack[0])
        x = hidden.reshape(-1, hidden.shape[-1])
        with torch.no_grad():
            for name in (*_NORMS, *_BEHIND):
                module = getattr(stack, name, None)
                if isinstance(module, nn.Module):
                    x = module(x.to(self._dtype))
        return x.to(hidden.device).view(*hidden.shape[:-1], x.shape[-1])

    def unembed(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return float32 logits: the head alone, with what the network does to its logits."""
        x = hidden.reshape(1, -1, hidden.shape[-1]).to(self.device, self._dtype)
        # The network's own code computes them, for the sake of its scalings and caps, from a base
        # that answers at once.
        beheaded = answering(self.network, self._base, x)
        with torch.no_grad():
            ids = torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device)
            logits: Tensor = beheaded(input_ids=ids, use_cache=False, return_dict=True).logits
        return logits.float().to(hidden.device).view(*hidden.shape[:-1], -1)

    @property
    def quantized(self) -> bool:
        """Whether it computes with fewer bits than its type has."""
        return any(isinstance(each, Quantized) for each in self.modules())

    def origin(self) -> Hashable | None:
        """Say what keys and values would come of now: see `RecallableLM`.

        Weights that are written to or replaced are another origin, as is an adapter's other scale.
        There is none while a module has a hook, and none where parts are brought by a placement.
        """
        if residency_of(self) is not None or self._watched():
            return None
        if self._seen is None or not self._seen.unchanged:
            self._seen = Snapshot(self)
        return self._seen.mark, self._seen.written(at_rest=True)

    def _watched(self) -> bool:
        """Whether anyone has a hook in it, besides this class."""
        own = self.network.get_submodule(self._base)
        return any(
            len(each._forward_hooks) > (each is own)  # noqa: SLF001 - torch tells no other way
            or each._forward_pre_hooks  # noqa: SLF001 - likewise
            or "forward" in vars(each)
            for each in self.modules()
        )

    @override
    def train(self, mode: bool = True) -> "TransformersLM":
        """Set training or evaluation mode; training needs matrices as they were."""
        if mode:
            self.unpack()
        return super().train(mode)

    def pack(self) -> None:
        """Hold matrices in the form that a CPU reads fastest, where parts stay where they are."""
        if residency_of(self) is not None:
            return
        for module in self.modules():
            if type(module) is Linear and module.packed is None:
                packed = pack(module.weight, module.bias)
                if packed is not None:
                    module.pack(packed)

    def unpack(self) -> None:
        """Hold matrices as they were, bit for bit."""
        for module in self.modules():
            if isinstance(module, Packable):
                module.unpack()

    def settle(self) -> None:
        """Bring what is no weight to where the weights are, behind loading."""
        for module in self.network.modules():
            for name, buffer in module.named_buffers(recurse=False):
                near = next(module.parameters(), None)
                device = self.device if near is None else near.device
                if buffer.device != device and device.type != "meta":
                    module.register_buffer(
                        name,
                        buffer.to(device),
                        persistent=name not in module._non_persistent_buffers_set,  # noqa: SLF001 - torch's
                    )

    @property
    def _dtype(self) -> torch.dtype:
        return self.network.dtype

    def _compute(self, feed: RaggedFeed) -> Float[Tensor, "kept vocab"]:
        token = UNDER_WAY.set(feed)
        hooks = self._watch(feed)
        try:
            with torch.no_grad(), evaluating(self.network):
                words: dict[str, Any] = {self._cache_word: Conduit(feed)}
                logits: Tensor = self.network(
                    input_ids=feed.ids,
                    position_ids=feed.positions,
                    use_cache=True,
                    return_dict=True,
                    **words,
                ).logits
        finally:
            UNDER_WAY.reset(token)
            for hook in hooks:
                hook.remove()
        if (feed.written, feed.attended) != (len(self.attending), len(self._attend)):
            raise misfit(
                f"{feed.written} of {len(self.attending)} layers wrote keys and values as "
                f"transformers' own attention functions are told of, and {feed.attended} of "
                f"{len(self._attend)} attended to them"
            )
        return logits[0].float()

    def _watch(self, feed: RaggedFeed) -> list[RemovableHandle]:
        """Keep what goes into the wanted blocks, and out of the last one."""
        if not feed.wanted:
            return []
        blocks = self.blocks
        hooks = [
            blocks[layer].register_forward_pre_hook(partial(_keep_input, layer), with_kwargs=True)
            for layer in feed.wanted
            if layer < self.layers
        ]
        if self.layers in feed.wanted:
            hooks.append(blocks[-1].register_forward_hook(partial(_keep_output, self.layers)))
        return hooks

    def _nothing(self, hidden_states: Sequence[int]) -> Scores:
        nothing = torch.zeros(0, self.width, device=self.device)
        logits = torch.zeros(0, self.vocab_size, device=self.device)
        return Scores(logits, dict.fromkeys(hidden_states, nothing))


def _take(module: nn.Module, args: object, output: Any) -> Any:  # noqa: ANN401, ARG001 - a hook
    """Leave of a base's output what is to be scored, so that the head computes nothing in vain."""
    feed = UNDER_WAY.get()
    if feed is not None:
        output["last_hidden_state"] = feed.take(output.last_hidden_state)
    return output


def _keep_input(
    layer: int, _module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> None:
    _keep(layer, args[0] if args else kwargs["hidden_states"])


def _keep_output(layer: int, _module: nn.Module, _args: object, out: object) -> None:
    _keep(layer, out[0] if isinstance(out, tuple) else out)


def _keep(layer: int, hidden: object) -> None:
    """Keep what a block is given or makes; the hook may be another thread's."""
    feed = UNDER_WAY.get()
    if feed is not None and layer in feed.wanted:
        feed.hidden[layer] = feed.take(cast("Tensor", hidden))[0]


def _base(network: "PreTrainedModel") -> str:
    """Return the name of what computes hidden states for the head."""
    base = network.get_decoder()
    for path, module in network.named_modules():
        if module is base and path:
            return str(path)
    raise misfit("its head and what is before it are not apart")


def _stack(network: "PreTrainedModel", base: str, layers: int) -> tuple[str, str]:
    """Return what holds the list of blocks, and that list, by their names.

    Raises:
        OptionError: If there is no such list.
    """
    for path, module in network.get_submodule(base).named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            inner = path.rpartition(".")[0]
            return f"{base}.{inner}".removesuffix("."), f"{base}.{path}"
    raise misfit(f"it has no list of {layers} blocks")
