"""Quantizers, a placement and a format that are small enough to be read, and models to load."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from gpt2sdk import (
    CheckpointError,
    CheckpointFormat,
    OpenedFile,
    Place,
    Placement,
    PlacementError,
    PlacementPlan,
    QuantizedLinear,
    QuantizedMatrix,
    QuantizedTable,
    Quantizer,
    Residency,
    TensorInfo,
    hookimpl,
)
from gpt2sdk.config_files import read_json
from gpt2sdk.files.tensors import open_tensors
from gpt2sdk.loading import Hub, LoadSettings, load, plan_load, quantize_checkpoint
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import save_tiny_model

CPU = torch.device("cpu")


class Rows(torch.nn.Module):
    """Numbers in a short type, with a scale for each row."""

    def hold(self, numbers, scale):
        self.register_buffer("numbers", numbers)
        self.register_buffer("scale", scale)

    @property
    def kernel(self):
        return "dequantized"

    def stored(self):
        return {"": self.numbers, ".scale": self.scale}

    def dequantize(self):
        return self.numbers.float() * self.scale[:, None]

    def pack(self):
        pass

    def unpack(self):
        pass


class RowsLinear(Rows, QuantizedLinear):
    """A layer."""

    def __init__(self, numbers, scale, bias):
        super().__init__()
        self.hold(numbers, scale)
        self.register_buffer("bias", bias)
        self.out_features, self.in_features = numbers.shape

    def forward(self, x):
        bias = None if self.bias is None else self.bias.float()
        return functional.linear(x.float(), self.dequantize(), bias).to(x.dtype)


class RowsTable(Rows, QuantizedTable):
    """A table."""

    def __init__(self, numbers, scale, dtype):
        super().__init__()
        self.hold(numbers, scale)
        self.dtype = dtype

    def forward(self, tokens):
        return (self.numbers[tokens].float() * self.scale[tokens][..., None]).to(self.dtype)

    def attend(self, x):
        return functional.linear(x.float(), self.dequantize())


class Scaled(Quantizer):
    """Each row as numbers of a type, times a scale; matrices that are named are left alone.

    Attributes:
        skip: Ends of names of what stays as it is.
    """

    kind: ClassVar[torch.dtype]
    largest: ClassVar[float]

    skip: tuple[str, ...] = ()

    def probe(self, device):
        if device.type != "cpu":
            raise PlacementError(f"{self.name} works on CPUs only: device='cpu'")
        return f"{self.name}, dequantized for each product"

    def plan(self, matrix, device):
        if matrix.name.endswith(self.skip):
            return None
        stored = {
            "": TensorInfo(matrix.shape, str(self.kind).removeprefix("torch.")),
            ".scale": TensorInfo(matrix.shape[:1], "float32"),
        }
        size = matrix.shape[0] * (matrix.shape[1] * self.kind.itemsize + 4)
        return QuantizedMatrix(f"{self.name} per row", size, stored, workspace=1000)

    def numbers(self, matrix, slabs):
        numbers = torch.empty(matrix.shape, dtype=self.kind)
        scale = torch.empty(matrix.shape[0])
        start = 0
        for slab in slabs:
            rows = slab.float()
            part = rows.abs().amax(dim=1).clamp_min(1e-20) / self.largest
            scaled = rows / part[:, None]
            numbers[start : start + len(slab)] = (
                scaled if self.kind.is_floating_point else scaled.round()
            )
            scale[start : start + len(slab)] = part
            start += len(slab)
        return numbers, scale

    def linear(self, matrix, slabs, bias, target):
        return RowsLinear(*self.numbers(matrix, slabs), bias)

    def table(self, matrix, slabs, target):
        return RowsTable(*self.numbers(matrix, slabs), target.dtype)

    def restore(self, matrix, tensors, bias, target):
        if matrix.use == "table":
            return RowsTable(tensors[""], tensors[".scale"], target.dtype)
        return RowsLinear(tensors[""], tensors[".scale"], bias)

    def config(self):
        return {"quant_method": self.name, "skip": list(self.skip)}

    @classmethod
    def claim(cls, config):
        if config.get("quant_method") != cls.name:
            return None
        if not isinstance(config.get("skip"), list):
            raise CheckpointError(f"{cls.name}: expected a list of what was skipped")
        return cls(skip=tuple(config["skip"]))


class Half(Scaled):
    """Rows in float16."""

    kind = torch.float16
    largest = 1.0
    ladder = 10


class Byte(Scaled):
    """Rows in 8 bits."""

    kind = torch.int8
    largest = 127.0
    ladder = 20
    rows_independent = False


class Nowhere(Byte):
    """Works on no device."""

    ladder = 5

    def probe(self, device):
        raise PlacementError("nowhere works on no device: choose another")


class Texts(Byte):
    """Has a tensor of any length, and one that stands beside the parameter."""

    ladder = None

    def plan(self, matrix, device):
        plan = super().plan(matrix, device)
        stored = {
            "": plan.stored[""],
            "../STATS": plan.stored[".scale"],
            ".state": TensorInfo((-1,), "uint8"),
        }
        return QuantizedMatrix(plan.format, plan.nbytes, stored)

    def linear(self, matrix, slabs, bias, target):
        return TextsLinear(*self.numbers(matrix, slabs), bias)

    def table(self, matrix, slabs, target):
        return TextsTable(*self.numbers(matrix, slabs), target.dtype)

    def restore(self, matrix, tensors, bias, target):
        read = {"": tensors[""], ".scale": tensors["../STATS"]}
        assert bytes(tensors[".state"].tolist()) == b"*" * len(tensors[""])
        made = super().restore(matrix, read, bias, target)
        made.__class__ = TextsTable if matrix.use == "table" else TextsLinear
        return made


class WithText:
    """Stores a text as long as the matrix has rows."""

    def stored(self):
        text = torch.tensor(list(b"*" * len(self.numbers)), dtype=torch.uint8)
        return {"": self.numbers, "../STATS": self.scale, ".state": text}


class TextsLinear(WithText, RowsLinear):
    """A layer."""


class TextsTable(WithText, RowsTable):
    """A table."""


class Shelves(Residency):
    """Keeps blocks away between uses, and counts what is done with parts."""

    def __init__(self, places, model):
        self.places = places
        self.model = model
        self.away = {}
        self.stowed = []
        self.closed = False

    def device(self, name):
        return self.places[name].device

    def permanent(self, name):
        return self.places[name].kept == "device"

    def stow(self, name, module):
        self.stowed.append(name)
        if not self.permanent(name):
            tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            self.away[name] = [(tensor, tensor.data) for tensor in tensors.values()]
            self.release(name)

    def prefetch(self, name):
        pass

    def acquire(self, name):
        for tensor, data in self.away.get(name, ()):
            tensor.data = data

    def release(self, name):
        for tensor, data in self.away.get(name, ()):
            tensor.data = torch.empty(0, dtype=data.dtype)

    def close(self):
        self.closed = True


class Attic(Placement):
    """Lets the CPU compute everything, with the blocks kept on the disk."""

    def plan(self, parts, memory):
        blocks = [part for part in parts if part.name.startswith("h.")]
        others = sum(part.nbytes for part in parts if part not in blocks)
        held = others + max(part.stored_nbytes for part in blocks)
        if held > memory["cpu"]:
            message = f"{held} bytes are needed: allow more"
            raise PlacementError(message, out_of_memory=True)
        places = {
            part.name: Place(CPU, "disk" if part in blocks else "device", "the attic is large")
            for part in parts
        }
        away = sum(part.stored_nbytes for part in blocks)
        return PlacementPlan(places, {"cpu": held, "disk": away}, ("blocks come from the attic",))

    def residency(self, plan, model):
        return Shelves(plan.places, model)


class Auto(Attic):
    """The same, under the name that is chosen automatically."""


class Lost(Attic):
    """Lacks something that is no memory."""

    def plan(self, parts, memory):
        raise PlacementError("there is no attic here: build one")


class DeviceMap(Attic):
    """Follows a mapping."""

    device_map: dict[str, str | int] | tuple = ()

    def plan(self, parts, memory):
        pairs = dict(self.device_map)
        kept = {part.name: "disk" if pairs[part.name] == "disk" else "device" for part in parts}
        places = {part.name: Place(CPU, kept[part.name]) for part in parts}
        return PlacementPlan(places, {"cpu": sum(part.nbytes for part in parts)})


class Bundle(CheckpointFormat):
    """A folder's files in one: JSON that says where they are."""

    suffix = ".bundle"

    def open(self, file):
        said = json.loads(file.read_text())
        folder = Path(said["folder"])
        texts = {"tokenizer.json": (folder / "tokenizer.json").read_text()}
        config = read_json(folder / "config.json")
        return OpenedFile(open_tensors(folder), config, texts, ("it was one file",))


class Plugin:
    """Offers all of them."""

    def __init__(self, *components):
        self.components = components

    @hookimpl
    def gpt2sdk_components(self):
        return self.components


ALL = (Half, Byte, Nowhere, Texts, Attic, Lost, DeviceMap, Bundle)


def registry_of(*components):
    return Registry([Plugin(*components)], discover=False)


@pytest.fixture
def registry():
    return registry_of(*ALL)


@pytest.fixture
def fakes(registry):
    """The fakes, and loading with nothing but them."""

    def loads(name, dtype="auto", registry=registry, **settings):
        return load(name, LoadSettings(dtype, "cpu", **settings), hub=Hub(), registry=registry)

    def plans(name, dtype="auto", registry=registry, **settings):
        return plan_load(name, LoadSettings(dtype, "cpu", **settings), registry=registry)

    def converts(source, destination, quantization, registry=registry, **settings):
        return quantize_checkpoint(source, destination, quantization, registry=registry, **settings)

    return SimpleNamespace(
        Half=Half,
        Byte=Byte,
        Texts=Texts,
        Attic=Attic,
        Auto=Auto,
        DeviceMap=DeviceMap,
        RowsLinear=RowsLinear,
        RowsTable=RowsTable,
        Shelves=Shelves,
        Plugin=Plugin,
        everything=ALL,
        registry=registry,
        registry_of=registry_of,
        load=loads,
        plan=plans,
        convert=converts,
        info=TensorInfo.of,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with a tiny model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return folder
