"""Carries a plan out: part by part, matrix by matrix, slab by slab."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gpt2sdk.components.architecture import Architecture, as_causal_lm
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.checkpoint import Checkpoint
from gpt2sdk.components.placement import PlacedModel, Residency
from gpt2sdk.components.quantized import Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.components.quantizer import Matrix, Quantizer, Target
from gpt2sdk.errors import PlacementError, PluginContractError
from gpt2sdk.loading.escorting import check_escorted, escort
from gpt2sdk.loading.failures import failure, naming
from gpt2sdk.loading.plan import LoadPlan, PartPlan

T = TypeVar("T")


def build(checkpoint: Checkpoint[Architecture], plan: LoadPlan) -> CausalLM:
    """Build a model as planned; at most one matrix's workspace is held besides.

    Raises:
        CheckpointError: If a file cannot be read, or holds no such weights.
        PlacementError: If a device has no room after all.
        PluginContractError: If an architecture, quantizer or placement fails.
    """
    architecture = checkpoint.architecture
    model = architecture.empty_model(plan.dtype)
    residency = _residency(plan, model)
    try:
        for part in plan.parts:
            _build_part(model, checkpoint, plan, part)
            if residency is not None:
                residency.stow(part.name, model.get_submodule(part.name))
        if residency is not None:
            _hand_over(model, plan, residency, architecture)
    except BaseException:
        if residency is not None:
            residency.close()
        raise
    return as_causal_lm(model, architecture)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes quantized modules of a checkpoint's matrices.

    Attributes:
        checkpoint: Where the numbers are.
        quantizer: What quantizes, or reads what is quantized.
        target: What for.
    """

    checkpoint: Checkpoint[Architecture]
    quantizer: Quantizer
    target: Target

    def make(self, matrix: Matrix) -> QuantizedLinear | QuantizedTable:
        """Make one module.

        Raises:
            CheckpointError: If the file cannot be read, or holds no such weights.
            PlacementError: If the device has no room.
            PluginContractError: If the quantizer fails, or makes something else.
        """
        kind = QuantizedTable if matrix.use == "table" else QuantizedLinear
        made = attempt(self.quantizer, matrix.name, self.target.device, lambda: self._made(matrix))
        if not isinstance(made, kind):
            found = TypeError(f"expected a {kind.__name__}, got a {type(made).__name__}")
            raise failure(self.quantizer, f"made the wrong module of {matrix.name}", found)
        return made.eval().requires_grad_(requires_grad=False)

    def _made(self, matrix: Matrix) -> QuantizedLinear | QuantizedTable:
        name, bias = matrix.name, self._bias(matrix)
        if name in self.checkpoint.layout.quantized:
            tensors = self.checkpoint.read_quantized(name)
            return self.quantizer.restore(matrix, tensors, bias, self.target)
        slabs = self.checkpoint.slabs(name)
        if matrix.use == "table":
            return self.quantizer.table(matrix, slabs, self.target)
        return self.quantizer.linear(matrix, slabs, bias, self.target)

    def _bias(self, matrix: Matrix) -> Tensor | None:
        name = bias_of(matrix)
        if matrix.use != "linear" or name not in self.checkpoint.layout.entries:
            return None
        return self.checkpoint.read(name, device=self.target.device, dtype=self.target.dtype)


def bias_of(matrix: Matrix) -> str:
    """Return the name of a layer's bias.

    >>> bias_of(Matrix("h.0.mlp.c_fc.weight", (4, 1), torch.float32, "linear"))
    'h.0.mlp.c_fc.bias'
    """
    return matrix.name.removesuffix("weight") + "bias"


def attempt(quantizer: Quantizer, name: str, device: torch.device, make: Callable[[], T]) -> T:
    """Let a quantizer make something; whatever goes wrong says what and where.

    Raises:
        PlacementError: If memory ran out.
        PluginContractError: If it failed otherwise.
    """
    with naming(quantizer, f"failed on {name}"):
        try:
            return make()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise PlacementError(
                f"{device}: no room left for {name} while quantizing it with {quantizer.name}: "
                "expected a larger device, a smaller quantizer or a placement",
                out_of_memory=True,
            ) from error


def _residency(plan: LoadPlan, model: nn.Module) -> Residency | None:
    if plan.placement is None or plan.places is None:
        return None
    with naming(plan.placement, "cannot carry its plan out"):
        return plan.placement.residency(plan.places, model)


def _hand_over(
    model: nn.Module, plan: LoadPlan, residency: Residency, architecture: Architecture
) -> None:
    """Let a residency bring the parts from now on."""
    if isinstance(model, PlacedModel):
        model.set_residency(residency)
        return
    home = as_causal_lm(model, architecture).device
    escort(model, [part.name for part in plan.parts], residency, home)
    check_escorted(model, architecture)


def _build_part(
    model: nn.Module, checkpoint: Checkpoint[Architecture], plan: LoadPlan, part: PartPlan
) -> None:
    """Give a part its weights: where it computes if it stays there, else on the CPU."""
    device = torch.device(part.device if part.kept == "device" else "cpu")
    filled: set[str] = set()
    if plan.quantizer is not None:
        maker = Maker(checkpoint, plan.quantizer, Target(device, plan.dtype))
        for matrix in (each.matrix for each in part.matrices if each.quantized is not None):
            model.set_submodule(matrix.name.removesuffix(".weight"), maker.make(matrix))
            filled |= {matrix.name, bias_of(matrix)}
        _fix(model, part)
    architecture = checkpoint.architecture
    for name in architecture.parts()[part.name]:
        if name not in filled:
            dtype = architecture.parameter_dtype(name, plan.dtype)
            checkpoint.fill(model, name, device=device, dtype=dtype)
    _check_filled(model, checkpoint.architecture, plan, part.name)


def _fix(model: nn.Module, part: PartPlan) -> None:
    """Pack what will be computed with where it is kept, so that it is not packed each time."""
    for each in part.matrices:
        module = model.get_submodule(each.matrix.name.removesuffix(".weight"))
        if each.portable and isinstance(module, Quantized):
            module.fix()


def _check_filled(model: nn.Module, architecture: Architecture, plan: LoadPlan, part: str) -> None:
    # Of a part with others inside, their parameters come later.
    module, parts = model.get_submodule(part), architecture.parts()
    own = bool(part) and not any(other.startswith(f"{part}.") for other in parts)
    tensors = [*module.parameters(recurse=own), *module.buffers(recurse=own)]
    if any(tensor.is_meta for tensor in tensors):
        plugin = plan.quantizer or architecture
        role = "quantizer" if plan.quantizer else "architecture"
        raise PluginContractError(
            f"the {role} {plugin.name} left tensors of {part or 'the model'} without numbers",
            plugin=plugin.name,
        )
