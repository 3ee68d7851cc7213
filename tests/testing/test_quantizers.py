"""The conformance kit of quantizers finds one that breaks its promises, and no other."""

from time import sleep
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from gpt2sdk import (
    CheckpointError,
    QuantizedLinear,
    QuantizedMatrix,
    QuantizedTable,
    Quantizer,
    TensorInfo,
)
from gpt2sdk.testing import check_quantizer


class Module:
    """What a layer and a table have in common: whole numbers with a scale for each row."""

    kernel = "float32"

    def hold(self, numbers, scale, bias=None):
        self.register_buffer("numbers", numbers)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("like", torch.empty(0), persistent=False)

    def stored(self):
        return {"": self.numbers, ".scale": self.scale}

    def dequantize(self):
        return self.numbers.float() * self.scale[:, None]

    def products(self, x):
        return functional.linear(x.float(), self.dequantize())

    def pack(self):
        pass

    def unpack(self):
        pass


class Layer(Module, QuantizedLinear):
    def forward(self, x):
        products = self.products(x)
        return (products if self.bias is None else products + self.bias).to(x.dtype)


class Table(Module, QuantizedTable):
    def forward(self, tokens):
        return self.dequantize()[tokens].to(self.like.dtype)

    def attend(self, x):
        return self.products(x)


class Good(Quantizer):
    """Holds matrices in 8 bits."""

    layer: ClassVar = Layer

    def probe(self, device):
        return "float32"

    def plan(self, matrix, device):
        outputs, inputs = matrix.shape
        stored = {"": TensorInfo(matrix.shape, "int8"), ".scale": TensorInfo((outputs,), "float32")}
        nbytes, workspace = outputs * (inputs + 4), 4 * outputs * inputs
        return QuantizedMatrix(
            "int8", nbytes, stored, packing_workspace=workspace, passing_workspace=workspace
        )

    def numbers(self, slabs):
        pieces = []
        for slab in slabs:
            scale = slab.float().abs().amax(dim=1) / 127 + 1e-30
            pieces.append(((slab / scale[:, None]).round().to(torch.int8), scale))
        return [torch.cat(column) for column in zip(*pieces, strict=True)]

    def linear(self, matrix, slabs, bias, target):
        return self.made(matrix, self.layer(), self.numbers(slabs), bias)

    def table(self, matrix, slabs, target):
        return self.made(matrix, Table(), self.numbers(slabs), None)

    def restore(self, matrix, tensors, bias, target):
        for name, info in self.plan(matrix, target.device).stored.items():
            found = tensors.get(name)
            kind = None if found is None else str(found.dtype).removeprefix("torch.")
            if found is None or TensorInfo(tuple(found.shape), kind) != info:
                raise CheckpointError(f"{name} does not fit")
        module = Table() if matrix.use == "table" else self.layer()
        return self.made(matrix, module, [tensors[""], tensors[".scale"]], bias)

    def made(self, matrix, module, numbers, bias):
        if not numbers[1].isfinite().all():
            raise CheckpointError(f"{matrix.name} is not finite")
        module.out_features, module.in_features = matrix.shape
        module.hold(*numbers, bias)
        return module

    def config(self):
        return {"quant_method": "test", "version": 1}

    @classmethod
    def claim(cls, config):
        if config.get("quant_method") != "test":
            return None
        if config["version"] != 1:
            raise CheckpointError("of another version")
        return cls()


def test_a_good_quantizer_is_measured():
    report = check_quantizer(Good())

    assert report.matrices == 9
    assert report.kernels == ("float32",)
    assert report.rows_apart < 1e-5
    assert report.product_error < 1e-5
    assert report.forms_apart == 0.0
    assert 0.005 < report.weight_error < 0.03


class FewBytes(Good):
    """Plans fewer bytes than it holds."""

    def plan(self, matrix, device):
        plan = super().plan(matrix, device)
        return QuantizedMatrix(plan.format, plan.nbytes - 1, plan.stored)


class OtherNames(Good):
    """Stores what was not planned."""

    def plan(self, matrix, device):
        plan = super().plan(matrix, device)
        return QuantizedMatrix(plan.format, plan.nbytes, {"": plan.stored[""]})


class NoWorkspace(Good):
    """Says nothing of the float32 matrix that it makes for each product."""

    def plan(self, matrix, device):
        plan = super().plan(matrix, device)
        return QuantizedMatrix(plan.format, plan.nbytes, plan.stored)


class TransposedLayer(Layer):
    def products(self, x):
        weight = self.dequantize()
        square = weight.shape[0] == weight.shape[1]
        return functional.linear(x.float(), weight.T.contiguous() if square else weight)


class Transposed(Good):
    """Multiplies by the matrix the wrong way round, which shows where it is square."""

    layer: ClassVar = TransposedLayer


class OneScaleLayer(Layer):
    def products(self, x):
        step = x.float().abs().amax() / 32000 + 1e-30 if len(x) else 1.0
        return super().products((x / step).round() * step)


class OneScale(Good):
    """Puts all activations on one scale."""

    layer: ClassVar = OneScaleLayer


class KeepsSlabs(Good):
    """Keeps slabs that were good until the next one only."""

    def numbers(self, slabs):
        rows = torch.cat(list(slabs)).nan_to_num()
        return super().numbers(iter([rows]))


class ForgetsLayer(Layer):
    def pack(self):
        self.numbers = self.numbers.bitwise_and(-2)


class Forgets(Good):
    """Loses the last bit of what it packs."""

    layer: ClassVar = ForgetsLayer


class Trusts(Good):
    """Restores whatever it is given."""

    def restore(self, matrix, tensors, bias, target):
        module = Table() if matrix.use == "table" else self.layer()
        numbers, scale = tensors.get("", torch.zeros(1)), tensors.get(".scale", torch.zeros(1))
        return self.made(matrix, module, [numbers, scale], bias)


class Greedy(Good):
    """Claims every checkpoint."""

    @classmethod
    def claim(cls, config):
        return cls()


class OldReader(Good):
    """Reads versions that it cannot know."""

    @classmethod
    def claim(cls, config):
        return cls() if config.get("quant_method") == "test" else None


class LooseLayer(Layer):
    factor = 1.0

    def products(self, x):
        return super().products(x) * self.factor

    def pack(self):
        self.factor = 1.01

    def unpack(self):
        self.factor = 1.0


class Loose(Good):
    """Computes a little more where it is packed."""

    layer: ClassVar = LooseLayer


# Long enough for other threads to have their turn, however busy the machine is.
_MOMENT = 1e-3


class CarelessLayer(Layer):
    def hold(self, numbers, scale, bias=None):
        super().hold(numbers, scale, bias)
        self.register_buffer("packed", None, persistent=False)

    def stored(self):
        numbers = self.packed.neg() if self.numbers is None else self.numbers
        return {"": numbers, ".scale": self.scale}

    def dequantize(self):
        return self.stored()[""].float() * self.scale[:, None]

    def pack(self):
        if self.numbers is not None:
            numbers, self.numbers = self.numbers, None
            sleep(_MOMENT)
            self.packed = numbers.neg()

    def unpack(self):
        if self.packed is not None:
            packed, self.packed = self.packed, None
            sleep(_MOMENT)
            self.numbers = packed.neg()


class Careless(Good):
    """Holds nothing for a moment while it packs."""

    layer: ClassVar = CarelessLayer


class CastLayer(Layer):
    def _apply(self, fn, *recurse):
        return torch.nn.Module._apply(self, fn, *recurse)  # noqa: SLF001 - as modules do it


class Cast(Good):
    """Lets a cast change its scales."""

    layer: ClassVar = CastLayer


class ClosedLayer(Layer):
    def products(self, x):
        with torch.no_grad():
            return super().products(x)

    def forward(self, x):
        return self.products(x).to(x.dtype) + self.bias


class Closed(Good):
    """Lets no gradients through."""

    layer: ClassVar = ClosedLayer


class SizelessLayer(Layer):
    def hold(self, numbers, scale, bias=None):
        super().hold(numbers, scale, bias)
        self.in_features = None


class Sizeless(Good):
    """Does not say how many inputs a layer has."""

    layer: ClassVar = SizelessLayer


class Blind(Good):
    """Takes whatever weights there are."""

    def made(self, matrix, module, numbers, bias):
        module.out_features, module.in_features = matrix.shape
        module.hold(*numbers, bias)
        return module


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        (FewBytes(), "planned to hold 592895 bytes, but holds 592896"),
        (OtherNames(), "planned to store"),
        (NoWorkspace(), "while it computes unpacked, it makes a tensor of 2359296 bytes"),
        (Transposed(), r"768×768 linear .* row 7 is 1\.50e\+00 away"),
        (OneScale(), "differs by"),
        (KeepsSlabs(), "of its norm away from what was given"),
        (Forgets(), "packing changes the matrix"),
        (Trusts(), "takes tensors of which '' is missing"),
        (Greedy(), "greedy claims"),
        (OldReader(), "reads version 2"),
        (Loose(), r"unpacked, products differ by 1\.0e-02, more than 1e-03"),
        (Careless(), "threads that pack and unpack"),
        (Cast(), r"a cast to torch\.bfloat16 changes what is stored"),
        (Closed(), "gives no gradients"),
        (Sizeless(), r"out_features and in_features are \(768, None\)"),
        (Blind(), "takes a matrix of which a weight is nan"),
    ],
    ids=lambda value: value.name if isinstance(value, Quantizer) else "",
)
def test_a_broken_promise_is_found(quantizer, message):
    with pytest.raises(AssertionError, match=message):
        check_quantizer(quantizer)
