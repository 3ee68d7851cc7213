"""The forward pass without modules: each block as a few torch functions of packed weights.

It computes what the modules compute, less what costs time between the kernels: calling modules,
looking up parameters, activations as passes of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import TypeIs, override

from gpt2sdk.components.causal_lm import KeyValueCache, Scores
from gpt2sdk.components.quantized import Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.components.runner import PackedMatrix, Runner, Running
from gpt2sdk.gpt2.activations import Activation
from gpt2sdk.gpt2.attention import Heads
from gpt2sdk.gpt2.block import Attention, Block, FeedForward
from gpt2sdk.gpt2.cache import Cache
from gpt2sdk.gpt2.feed import Feed
from gpt2sdk.gpt2.head import Embedding, TiedHead
from gpt2sdk.gpt2.layered import Layered
from gpt2sdk.gpt2.linear import Linear
from gpt2sdk.gpt2.packed import PackedHead, pack

Kernel = Callable[[Tensor], Tensor]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


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
class TorchRunner(Runner):
    """Computes with torch's functions, and with oneDNN's packed matrices on a CPU.

    It runs on every device, with every quantizer and placement.
    """

    name: ClassVar[str] = "torch"
    order: ClassVar[int] = 100

    @override
    def probe(self, model: nn.Module | None, device: torch.device) -> str | None:
        fits = model is None or (isinstance(model, Layered) and _is_as_built(model))
        return None if fits else "its blocks are not as they were built, so all modules are called"

    @override
    def prepare(self, model: nn.Module) -> Running:
        return TorchRunning(cast("Layered", model))


@final
class TorchRunning(Running):
    """Functions of a model's packed weights.

    Attributes:
        kernels: `onednn`, with the activation that is fused into it; `torch` for a plain product;
            what a quantized matrix says of itself; `module` where another module stands.
    """

    def __init__(self, model: Layered) -> None:
        """Pack what can be packed; parts that come and go cannot."""
        self.kernels: dict[str, str] = {}
        self._model = model
        self._route = route = model.route
        self._packed: list[tuple[Linear, PackedMatrix]] = []
        self._head_copy: PackedHead | None = None
        table, head = model.get_submodule("wte"), model.get_submodule("lm_head")
        norm = _norm(model.get_submodule("ln_f"))
        try:
            blocks = [
                self._block(f"h.{layer}", block)
                for layer, block in enumerate(model.get_submodule("h").children())
                if isinstance(block, Block)
            ]
            scores = self._scores(head, table)
        except BaseException:
            self.release()
            raise
        wte, wpe = self._lookup("wte", table), self._lookup("wpe", model.get_submodule("wpe"))
        self._wte, self._wpe, self._norm, self._head = wte, wpe, norm, scores
        self._blocks: Sequence[Callable[[Tensor, Feed, int, int], Tensor]] = blocks
        if route is not None:
            self._wte, self._wpe = route.lookup("wte", wte), route.lookup("wpe", wpe)
            self._blocks = [route.through(f"h.{layer}", each) for layer, each in enumerate(blocks)]
            self._norm = route.through("ln_f", norm)
            self._head = route.through(route.head, scores)

    @property
    @override
    def current(self) -> bool:
        return self._head_copy is None or self._head_copy.current

    @property
    @override
    def nbytes(self) -> int:
        copy = 0 if self._head_copy is None else self._head_copy.nbytes
        return copy + sum(packed.nbytes for _, packed in self._packed)

    @override
    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int],
    ) -> Scores:
        feed = Feed(cast("Cache", cache), tokens, keep, like=self._model.like())
        streams = {}
        last = feed.depth - 1
        with torch.inference_mode():
            x = self._wte(feed.tokens) + self._wpe(feed.positions)
            for layer, block in enumerate(self._blocks[: feed.depth]):
                if layer in hidden_states:
                    streams[layer] = feed.take(x).clone()
                x = block(x, feed, layer, last)
            if feed.depth in hidden_states:
                streams[feed.depth] = x
        # Not in inference mode, so that whoever gets them may write to them.
        with torch.no_grad():
            logits = self.unembed(self.final_norm(x))
            kept = {layer: each.to(logits.device, copy=True) for layer, each in streams.items()}
        feed.finish()
        return Scores(logits, kept)

    @override
    def final_norm(
        self, hidden: Float[Tensor, "positions embed"]
    ) -> Float[Tensor, "positions embed"]:
        return self._norm(hidden)

    @override
    def unembed(self, hidden: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        return self._head(hidden).float()

    @override
    def release(self) -> None:
        for linear, packed in self._packed:
            if linear.packed is packed:
                linear.unpack()
        self._packed.clear()

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
            packed = pack(linear.weight, linear.bias) if self._stays(part) else None
            if packed is not None:
                linear.pack(packed)
                self._packed.append((linear, packed))
                post = after.fused if _is(after, Activation) else None
                self.kernels[f"{part}.{name}"] = f"onednn+{post[0]}" if post else "onednn"
                kernel = packed.followed_by(post) if post else packed
                after = None if post else after
            else:
                self.kernels[f"{part}.{name}"] = "torch"
                # The parameter itself: where its part comes and goes, its data does.
                kernel = partial(functional.linear, weight=linear.weight, bias=linear.bias)
        elif isinstance(linear, QuantizedLinear):
            self.kernels[f"{part}.{name}"] = self._pack(part, linear)
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
            self.kernels["lm_head"] = self._pack(part, table)
            return table.attend
        if isinstance(owner, QuantizedLinear):
            self.kernels["lm_head"] = self._pack(part, owner)
            return owner.forward
        if not (_is(owner, Embedding) or (_is(owner, Linear) and owner.bias is None)):
            return partial(head, embedding=table) if tied else head
        self._head_copy = PackedHead.pack(owner.weight) if self._stays(part) else None
        self.kernels["lm_head"] = "torch" if self._head_copy is None else "onednn"
        return self._head_copy or partial(functional.linear, weight=owner.weight)

    def _lookup(self, part: str, table: nn.Module) -> Kernel:
        """Return what finds rows of a table."""
        if isinstance(table, QuantizedTable):
            self._pack(part, table)
            return table.forward
        return partial(torch.embedding, table.weight) if _is(table, Embedding) else table

    def _pack(self, part: str, module: Quantized) -> str:
        """Pack a quantized matrix if its part stays, and say how it is computed."""
        if self._stays(part):
            module.pack()
        return module.kernel

    def _stays(self, part: str) -> bool:
        return self._route is None or self._route.permanent(part)


def _is_as_built(model: nn.Module) -> bool:
    """Whether the blocks are as they were built, so that functions compute what they compute.

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
