"""The forward pass without modules: each block as a few functions of packed weights.

It computes what the modules compute, less what costs time between the kernels: calling modules,
looking up parameters, activations as passes of their own. The modules remain what counts: a
runner knows when they were hooked, replaced or written to, and is then not used.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter, is_, methodcaller
from typing import TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import TypeIs

from gpt2sdk.components.quantizer import Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.gpt2.activations import Activation
from gpt2sdk.gpt2.attention import Heads
from gpt2sdk.gpt2.block import Attention, Block, FeedForward
from gpt2sdk.gpt2.feed import Feed
from gpt2sdk.gpt2.head import Embedding, TiedHead
from gpt2sdk.gpt2.linear import Linear
from gpt2sdk.gpt2.packed import PackedHead
from gpt2sdk.gpt2.route import Route

Kernel = Callable[[Tensor], Tensor]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

_END = object()
_PACKED = attrgetter("packed")
_VALUES: Callable[[Mapping[str, object]], Iterable[object]] = methodcaller("values")


@dataclass(frozen=True, slots=True)
class BlockKernels:
    """What a block computes: `x + out(attend(qkv(norm_1(x))))`, then `x + down(up(norm_2(x)))`.

    Attributes:
        heads: How it attends.
        norm_1: Before attention.
        qkv: Queries, keys and values.
        out: What goes back from the heads.
        norm_2: Before the feed-forward layer.
        up: The wide layer, its activation included.
        down: What goes back from it.
    """

    heads: Heads
    norm_1: Kernel
    qkv: Kernel
    out: Kernel
    norm_2: Kernel
    up: Kernel
    down: Kernel

    def __call__(self, x: Tensor, feed: Feed, layer: int, last: int) -> Tensor:
        """Add to the residual stream; from the last layer, of the scored positions only."""
        mixed = feed(layer, self.qkv(self.norm_1(x)), self.heads)
        if layer == last:
            # From here on, no position needs another one.
            x, mixed = feed.take(x), feed.take(mixed)
        x.add_(self.out(mixed))
        return x.add_(self.down(self.up(self.norm_2(x))))


@final
class Runner:
    """Computes feeds with the packed weights of a model.

    Attributes:
        norm: The last norm.
        head: From the residual stream to logits, of positions in one line.
        kernels: How each matrix is computed, by its name: `onednn`, with the activation that is
            fused into it; `torch` for a plain product; what a quantized one says of itself;
            `module` where another module stands.
    """

    def __init__(self, model: nn.Module, route: Route | None = None) -> None:
        """Pack what can be packed of a model that `can_run`.

        Args:
            model: The model.
            route: What leads to its parts; those that come and go are not packed here.
        """
        self.kernels: dict[str, str] = {}
        self._route = route
        self._linears: list[Linear] = []
        self._packed_head: PackedHead | None = None
        table, head = model.get_submodule("wte"), model.get_submodule("lm_head")
        norm = _norm(model.get_submodule("ln_f"))
        blocks = [
            self._block(f"h.{layer}", block)
            for layer, block in enumerate(model.get_submodule("h").children())
            if isinstance(block, Block)
        ]
        scores = self._scores(head, table)
        wte, wpe = self._lookup("wte", table), self._lookup("wpe", model.get_submodule("wpe"))
        self._wte, self._wpe, self.norm, self.head = wte, wpe, norm, scores
        self._blocks: Sequence[Callable[[Tensor, Feed, int, int], Tensor]] = blocks
        if route is not None:
            self._wte, self._wpe = route.lookup("wte", wte), route.lookup("wpe", wpe)
            self._blocks = [route.through(f"h.{layer}", each) for layer, each in enumerate(blocks)]
            self.norm = route.through("ln_f", norm)
            self.head = route.through(route.head, scores)
        self._watch = Watch(model)

    @property
    def hooked(self) -> bool:
        """Whether someone wants the modules to be called."""
        return self._watch.hooked

    @property
    def current(self) -> bool:
        """Whether the model's modules and weights still are what was packed."""
        head = self._packed_head
        return (
            self._watch.unchanged
            and all(map(_PACKED, self._linears))
            and (head is None or head.current)
        )

    def __call__(
        self, feed: Feed, wanted: Collection[int]
    ) -> tuple[Float[Tensor, "positions vocab"], dict[int, Float[Tensor, "positions embed"]]]:
        """Return the logits and the wanted layers' residual streams at the scored positions."""
        streams = {}
        last = feed.depth - 1
        with torch.inference_mode():
            x = self._wte(feed.tokens) + self._wpe(feed.positions)
            for layer, block in enumerate(self._blocks[: feed.depth]):
                if layer in wanted:
                    streams[layer] = feed.take(x).clone()
                x = block(x, feed, layer, last)
            if feed.depth in wanted:
                streams[feed.depth] = x
        # Not in inference mode, so that whoever gets them may write to them.
        with torch.no_grad():
            logits = self.head(self.norm(x)).float()
            return logits, {
                layer: stream.to(logits.device, copy=True) for layer, stream in streams.items()
            }

    def _block(self, name: str, block: Block) -> BlockKernels:
        attention, inner = block.attn, block.mlp
        return BlockKernels(
            attention.heads,
            _norm(block.ln_1),
            self._product(name, "attn.c_attn", attention.c_attn),
            self._product(name, "attn.c_proj", attention.c_proj),
            _norm(block.ln_2),
            self._product(name, "mlp.c_fc", inner.c_fc, inner.act),
            self._product(name, "mlp.c_proj", inner.c_proj),
        )

    def _product(
        self, part: str, name: str, linear: nn.Module, after: nn.Module | None = None
    ) -> Kernel:
        """Return the product of a part's matrix, and what follows it."""
        kernel: Kernel = linear
        self.kernels[f"{part}.{name}"] = "module"
        if _is(linear, Linear):
            packed = linear.pack() if self._stays(part) else linear.packed
            if packed is not None:
                self._linears.append(linear)
                post = after.fused if _is(after, Activation) else None
                self.kernels[f"{part}.{name}"] = f"onednn+{post[0]}" if post else "onednn"
                kernel = packed.followed_by(post) if post else packed
                after = None if post else after
            else:
                self.kernels[f"{part}.{name}"] = "torch"
                # The parameter itself: where its part comes and goes, its data does.
                kernel = partial(functional.linear, weight=linear.weight, bias=linear.bias)
        elif isinstance(linear, QuantizedLinear):
            self.kernels[f"{part}.{name}"] = self._packed(part, linear)
            kernel = linear.forward
        if after is None:
            return kernel
        return _chain(kernel, after.function if _is(after, Activation) else after)

    def _scores(self, head: nn.Module, table: nn.Module) -> Kernel:
        """Return what makes logits."""
        tied = isinstance(head, TiedHead)
        owner, part = (table, "wte") if tied else (head, "lm_head")
        self.kernels["lm_head"] = "module"
        if tied and not _is(head, TiedHead):
            return partial(head, embedding=table)
        if tied and isinstance(table, QuantizedTable):
            self.kernels["lm_head"] = self._packed(part, table)
            return table.attend
        if isinstance(owner, QuantizedLinear):
            self.kernels["lm_head"] = self._packed(part, owner)
            return owner.forward
        if not (_is(owner, Embedding) or (_is(owner, Linear) and owner.bias is None)):
            return partial(head, embedding=table) if tied else head
        self._packed_head = PackedHead.pack(owner.weight) if self._stays(part) else None
        self.kernels["lm_head"] = "torch" if self._packed_head is None else "onednn"
        return self._packed_head or partial(functional.linear, weight=owner.weight)

    def _lookup(self, part: str, table: nn.Module) -> Kernel:
        """Return what finds rows of a table."""
        if isinstance(table, QuantizedTable):
            self._packed(part, table)
            return table.forward
        return partial(torch.embedding, table.weight) if _is(table, Embedding) else table

    def _packed(self, part: str, module: Quantized) -> str:
        """Pack a quantized matrix if its part stays, and say how it is computed."""
        if self._stays(part):
            module.pack()
        return module.kernel

    def _stays(self, part: str) -> bool:
        return self._route is None or self._route.permanent(part)


@final
class Watch:
    """Knows whether a model's modules are hooked, or are others than they were."""

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._hooks = [
            hooks
            for module in modules
            for hooks in (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001 - no other way to know
        ]
        self._parts: list[Mapping[str, object]] = [
            parts
            for module in modules
            for parts in (module._modules, module._parameters)  # noqa: SLF001 - as above
            if parts
        ]
        self._parts += [
            part._buffers  # noqa: SLF001 - as above
            for module in modules
            if isinstance(module, Quantized)
            for part in module.modules()
        ]
        self._before = list(self._now())

    @property
    def hooked(self) -> bool:
        """Whether some module has a hook."""
        return any(self._hooks)

    @property
    def unchanged(self) -> bool:
        """Whether each module, parameter and quantized buffer is the very object it was."""
        return all(map(is_, self._now(), self._before))

    def _now(self) -> Iterator[object]:
        # With an end, so that one object more is as different as one less.
        return chain(chain.from_iterable(map(_VALUES, self._parts)), (_END,))


def can_run(model: nn.Module) -> bool:
    """Whether the blocks are as they were built, so that a runner computes what they compute.

    Matrices, norms, tables and activations may be of other kinds: those are called.
    """
    dropouts = [model.get_submodule("drop")]
    for block in model.get_submodule("h").children():
        if not (_is(block, Block) and _is(block.attn, Attention) and _is(block.mlp, FeedForward)):
            return False
        dropouts += block.attn.resid_dropout, block.mlp.dropout
    return all(_is(dropout, nn.Dropout) for dropout in dropouts)


def _is(module: nn.Module | None, kind: type[ModuleT]) -> TypeIs[ModuleT]:
    """Whether calling a module does what its class says: no subclass, no `forward` of its own."""
    return type(module) is kind and "forward" not in vars(module)


def _norm(module: nn.Module) -> Kernel:
    if not _is(module, nn.LayerNorm):
        return module
    shape, weight, bias, epsilon = module.normalized_shape, module.weight, module.bias, module.eps

    def norm(x: Tensor) -> Tensor:
        return torch.layer_norm(x, shape, weight, bias, epsilon, cudnn_enable=False)

    return norm


def _chain(first: Kernel, then: Kernel) -> Kernel:
    def chained(x: Tensor) -> Tensor:
        return then(first(x))

    return chained
