"""The runner that hands a GPT-2 model to the engine."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import ClassVar, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk import GPT2Config, KeyValueCache, Quantized, Runner, Running, Scores
from gpt2sdk.gpt2 import GPT2, Activation, Block, Cache, Packable, TiedHead, TorchRunner
from gpt2sdk_native.engine import ACTIVATIONS, Layer, NativeEngine
from gpt2sdk_native.forms import described, lent, packed_form, refused
from gpt2sdk_native.library import ISA_VARIABLE, isa
from gpt2sdk_native.matrix import NativeMatrix
from gpt2sdk_native.packed import NativeProduct, NativeTable

_MATRICES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
_TOLERANCE = 1e-4


@final
class NativeRunner(Runner):
    """Computes whole calls of GPT-2 models in a compiled engine, on a CPU.

    A row has the same bits alone, in any batch, fed in any pieces, with any number of threads and
    under AVX2, AVX-512 and NEON. Weights in float32, bfloat16, `int8` and `int4`; activations are
    float32 where they are not whole numbers.
    """

    name: ClassVar[str] = "native"

    @override
    def probe(self, model: nn.Module | None, device: torch.device) -> str | None:
        if device.type != "cpu":
            return f"it computes on CPUs, not on {device.type}"
        return broken() or (None if model is None else _unfit(model))

    @override
    def prepare(self, model: nn.Module) -> Running:
        return NativeRunning(cast("GPT2", model))


@final
class NativeRunning(Running):
    """A model whose weights the engine holds."""

    def __init__(self, model: GPT2) -> None:
        """Pack all matrices, each one's module giving its memory up before the next is packed."""
        self._given_back: list[Callable[[], None]] = []
        self._packed: list[NativeMatrix] = []
        self.kernels: dict[str, str] = {}
        tied = isinstance(model.lm_head, TiedHead)
        try:
            layers = [
                self._layer(f"h.{index}", block) for index, block in enumerate(_blocks(model))
            ]
            table = self._matrix("lm_head" if tied else "wte", model.wte)
            head = table if tied else self._matrix("lm_head", model.lm_head)
        except BaseException:
            self.release()
            raise
        norm, places = model.ln_f, model.wpe.weight
        self._engine = NativeEngine(layers, table, head, places, (norm.weight, norm.bias), norm.eps)
        copied = _copied(model)
        self._places = [each.data_ptr for each in copied]
        self._written = [each for each in copied if not each.is_inference()]
        self._state = self._state_now()

    @property
    @override
    def current(self) -> bool:
        return self._state == self._state_now()

    @property
    @override
    def nbytes(self) -> int:
        return sum(each.nbytes for each in self._packed)

    @override
    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int],
    ) -> Scores:
        return Scores(*self._engine.score(cast("Cache", cache), tokens, keep, hidden_states))

    @override
    def final_norm(
        self, hidden: Float[Tensor, "positions embed"]
    ) -> Float[Tensor, "positions embed"]:
        return self._engine.final_norm(hidden)

    @override
    def unembed(self, hidden: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        return self._engine.unembed(hidden)

    @override
    def release(self) -> None:
        while self._given_back:
            self._given_back.pop()()

    def _state_now(self) -> tuple[list[int], list[int]]:
        """Return what changes when what was copied is written to, or given other memory."""
        return [place() for place in self._places], [each._version for each in self._written]  # noqa: SLF001

    def _layer(self, name: str, block: Block) -> Layer:
        matrices = [self._matrix(f"{name}.{each}", block.get_submodule(each)) for each in _MATRICES]
        return Layer(
            (matrices[0], matrices[1], matrices[2], matrices[3]),
            (block.ln_1.weight, block.ln_1.bias, block.ln_2.weight, block.ln_2.bias),
            block.attn.heads.count,
            block.attn.heads.scaling,
            block.mlp.act.name,
        )

    def _matrix(self, name: str, module: nn.Module) -> NativeMatrix:
        """Pack a module's matrix, and let the module do without."""
        self.kernels[name] = described(module)
        matrix = packed_form(module)
        self._packed.append(matrix)
        if isinstance(module, Quantized):
            for buffer, back in lent(module, matrix).items():
                module.lend(buffer, back)
            self._given_back.append(module.reclaim)
        elif isinstance(module, Packable):
            made = (
                NativeTable(matrix) if isinstance(module, nn.Embedding) else NativeProduct(matrix)
            )
            module.pack(made)
            self._given_back.append(lambda: module.unpack() if module.packed is made else None)
        return matrix


def _unfit(model: nn.Module) -> str | None:
    """Say why the engine cannot run a model."""
    if not isinstance(model, GPT2):
        return "it runs GPT-2 models"
    if model.residency is not None:
        return "the model's parts are placed"
    own = (name for name, part in model.named_modules() if "forward" in vars(part))
    if name := next(own, ""):
        return f"{name} has a forward of its own"
    return TorchRunner().probe(model, model.device) or next(_misfits(model), None)


def _misfits(model: GPT2) -> Iterator[str]:
    """Say of each part that the engine has not what it is."""
    parts = dict(model.named_modules())
    for name, part in parts.items():
        if name.rpartition(".")[2].startswith("ln_"):
            yield from _other_norm(name, part, model.ln_f)
    for index in range(len(model.h)):
        act = f"h.{index}.mlp.act"
        found = parts[act]
        if type(found) is not Activation or found.name not in ACTIVATIONS:
            yield f"{act} is {found}"
    matrices = [f"h.{index}.{each}" for index in range(len(model.h)) for each in _MATRICES]
    if type(model.lm_head) is not TiedHead:
        matrices.append("lm_head")
        if getattr(model.lm_head, "bias", None) is not None:
            yield "lm_head has a bias"
    for name in (*matrices, "wte", "wpe"):
        if why := refused(parts[name], name):
            yield why


def _other_norm(name: str, norm: nn.Module, last: nn.Module) -> Iterator[str]:
    """Say in what a norm is not like the others."""
    if type(norm) is not nn.LayerNorm or norm.weight is None or norm.bias is None:
        yield f"{name} is another norm"
    elif norm.eps != last.eps:
        yield f"{name} has another epsilon than ln_f"


def _copied(model: GPT2) -> list[Tensor]:
    """Return what the engine copies and the modules keep."""
    held: list[Tensor] = [*model.ln_f.parameters(), model.wpe.weight]
    for block in _blocks(model):
        held += [*block.ln_1.parameters(), *block.ln_2.parameters()]
        layers = (block.get_submodule(name) for name in _MATRICES)
        held += [bias for each in layers if isinstance(bias := each.bias, Tensor)]
    return held


def _blocks(model: GPT2) -> list[Block]:
    return cast("list[Block]", list(model.h))


@cache
def broken() -> str | None:
    """Say why the engine does not compute on this machine: it is missing, or wrong."""
    try:
        slow = not os.environ.get(ISA_VARIABLE) and isa() == "scalar"
    except OSError as error:
        return f"the engine was not built, or not for this machine: {error}"
    if slow:
        return f"this processor has no instructions that it is fast with ({ISA_VARIABLE}=scalar)"
    model = GPT2(
        GPT2Config(vocab_size=37, n_positions=24, n_embd=48, n_layer=2, n_head=3), seed=1
    ).eval()
    tokens = [[token * 7 % 37 for token in range(20)], [5, 1, 30]]
    keep = [20, 3]
    expected = model.score(model.make_cache(2), tokens, keep).logits
    running = NativeRunning(model)
    found = running.score(model.make_cache(2), tokens, keep, ()).logits
    running.release()
    right = (found - expected).abs().max() <= _TOLERANCE * expected.abs().max()
    return None if right else "its results on this machine are not those of torch"
