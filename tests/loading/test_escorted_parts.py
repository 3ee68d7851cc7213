"""Models that know nothing of placements are placed all the same, part by part."""

import copy
import io
import json
import pickle

import pytest
import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import (
    Architecture,
    Generator,
    OptionError,
    Place,
    Placement,
    PlacementError,
    PlacementPlan,
    Residency,
    Scores,
    hookimpl,
)
from gpt2sdk.components.placement import residency_of
from gpt2sdk.loading import LoadSettings, load, plan_load
from gpt2sdk.loading.escorting import escort, moved
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableCache

FED = [[5, 1, 20], [7]]
CPU = torch.device("cpu")


class Stack(Architecture):
    """Blocks between two tables."""

    model_types = ("stack",)
    vocab_size: int = 28
    width: int = 64
    depth: int = 3

    @override
    def make_model(self, dtype):
        return StackModel(self)

    @override
    def tokenizer(self, folder):
        return Letters()


class Mixer(nn.Module):
    """A block: it mixes, and has a norm of its own."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, width)

    def forward(self, x, *, scale=1.0):
        return x + scale * self.mix(self.norm(x)).tanh()


class StackModel(nn.Module):
    """What comes out at a position depends on all that its slot was fed."""

    context_length = 200
    make_cache = TableCache

    def __init__(self, sizes):
        super().__init__()
        self.vocab_size, self.layers = sizes.vocab_size, sizes.depth
        self.embed = nn.Embedding(sizes.vocab_size, sizes.width)
        self.inner = nn.Module()
        self.inner.blocks = nn.ModuleList(Mixer(sizes.width) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(sizes.width)
        self.out = nn.Linear(sizes.width, sizes.vocab_size, bias=False)

    @property
    def device(self):
        return self.embed.weight.device

    @torch.no_grad()
    def score(self, cache, tokens, keep, hidden_states=()):
        kept = [torch.zeros(0, self.embed.embedding_dim, device=self.device)]
        for slot, fed, last in zip(cache.slots, tokens, keep, strict=True):
            slot.extend(fed)
            if last:
                x = self.embed(torch.tensor(slot)).cumsum(0)
                kept.append(x[len(slot) - last :])
        x = torch.cat(kept)
        for block in self.inner.blocks:
            x = block(x, scale=0.5)
        return Scores(self.out(self.norm(x)).float(), dict.fromkeys(hidden_states, x))


class Rooted(Stack):
    """Has a parameter that is in no module inside."""

    model_types = ("rooted",)

    @override
    def make_model(self, dtype):
        model = StackModel(self)
        model.scale = nn.Parameter(torch.ones(1))
        return model


class Between(Stack):
    """Has a parameter beside its blocks."""

    model_types = ("between",)

    @override
    def make_model(self, dtype):
        model = StackModel(self)
        model.inner.scale = nn.Parameter(torch.ones(1))
        return model


class Alone(Stack):
    """Says that it cannot be placed."""

    model_types = ("alone",)
    placeable = False


class Plugin:
    """Offers them."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Stack, Rooted, Between, Alone)


@pytest.fixture(scope="module", autouse=True)
def placements():
    pytest.importorskip("gpt2sdk_accelerate")


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Return a function that saves a model of an architecture."""

    def save(architecture):
        folder = tmp_path_factory.mktemp(architecture.name)
        torch.manual_seed(1)
        model = architecture.make_model(torch.float32)
        Generator(model, Letters(), architecture=architecture).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="module")
def folder(save):
    return save(Stack())


def loaded(folder, placement=None, **settings):
    return load(
        folder, LoadSettings(placement=placement, **settings), registry=Registry([Plugin()])
    )


def logits(model):
    return model.score(model.make_cache(2), FED, [2, 1]).logits


@pytest.mark.parametrize("quantization", [None, "int8"])
@pytest.mark.parametrize(
    "placement",
    [
        "auto",
        "cpu_offload",
        "disk_offload",
        "inferred",
        {"": "cpu", "inner.blocks": "disk"},
        {"": "disk", "inner.blocks.1": "cpu"},
    ],
    ids=str,
)
def test_what_is_placed_computes_the_same(folder, placement, quantization):
    plain = loaded(folder, quantization=quantization).model
    placed = loaded(folder, placement, quantization=quantization).model

    assert torch.equal(logits(plain), logits(placed))
    assert torch.equal(logits(plain), logits(placed))


def test_parts_are_where_the_map_says(folder):
    placed = loaded(folder, {"": "cpu", "inner.blocks": "disk", "inner.blocks.0": "cpu"})
    residency = residency_of(placed.model)
    names = ["embed", "inner.blocks.0", "inner.blocks.1", "inner.blocks.2", "norm", "out"]

    assert names == [part.name for part in placed.plan.parts]
    assert [True, True, False, False, True, True] == [residency.permanent(name) for name in names]


def test_a_key_that_is_no_part_is_an_error_that_names_one(folder):
    with pytest.raises(PlacementError, match=r"inner.blocks.0.mix is a piece of inner.blocks.0"):
        loaded(folder, {"": "cpu", "inner.blocks.0.mix": "disk"})
    with pytest.raises(PlacementError, match="emebd is not a part of this model; did you mean em"):
        loaded(folder, {"": "cpu", "emebd": "disk"})


def test_texts_and_saved_files_are_those_of_the_model_in_memory(folder, tmp_path):
    options = {"seed": 3, "max_new_tokens": 12, "num_return_sequences": 2}
    plain = Generator.from_pretrained(folder, plugins=[Plugin()])
    placed = Generator.from_pretrained(folder, plugins=[Plugin()], placement="disk_offload")
    placed.save_pretrained(tmp_path / "again")

    assert plain.generate("ab", **options).texts == placed.generate("ab", **options).texts
    assert plain.score("abc").logprobs == placed.score("abc").logprobs
    for name in ("model.safetensors", "config.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_devices_that_are_not_here_are_planned_for(folder):
    memory = {"cuda:0": "60kB", "cpu": "1GB"}
    settings = LoadSettings(placement="auto", max_memory=memory)
    plan = plan_load(folder, settings, registry=Registry([Plugin()]))
    where = {part.name: (part.device, part.kept) for part in plan.parts}

    assert ("cuda:0", "cpu") == where["inner.blocks.2"]
    assert ("cuda:0", "device") == where["norm"]


def test_auto_finds_a_placement_for_them(folder):
    settings = LoadSettings(quantization="auto", max_memory={"cuda:0": "60kB", "cpu": "1GB"})
    plan = plan_load(folder, settings, registry=Registry([Plugin()]))

    assert "auto" == plan.placement.name


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        (Rooted(), r"is a rooted, whose models have parameters beside their modules \(scale\)"),
        (Between(), r"is a between, whose models .* beside their modules \(inner.scale\)"),
        (Alone(), "is a alone, whose models run on one device: leave it out"),
    ],
)
def test_what_cannot_be_placed_is_refused_by_name(save, architecture, why):
    with pytest.raises(OptionError, match=why):
        loaded(save(architecture), "cpu_offload")


@pytest.mark.parametrize("architecture", [Rooted(), Between()])
def test_parameters_beside_modules_are_loaded_where_nothing_is_placed(save, architecture):
    folder = save(architecture)
    found = loaded(folder).model.state_dict()

    assert found.keys() == architecture.parameters().keys()
    assert not any(each.is_meta for each in found.values())


def test_no_placement_is_recommended_to_what_cannot_be_placed(save):
    settings = LoadSettings(quantization="auto", max_memory=1000)
    with pytest.raises(PlacementError, match="the least that would do is") as caught:
        plan_load(save(Alone()), settings, registry=Registry([Plugin()]))

    assert "placement" not in str(caught.value)


class Noted(Residency):
    """Writes down what it is asked for; of the parts, some are to be brought."""

    def __init__(self, passing=(), device=CPU):
        self.passing, self.where, self.asked = passing, device, []

    @override
    def device(self, name):
        return self.where

    @override
    def permanent(self, name):
        return name not in self.passing

    @override
    def stow(self, name, module):
        self.asked.append(("stow", name))

    @override
    def prefetch(self, name):
        self.asked.append(("prefetch", name))

    @override
    def acquire(self, name):
        self.asked.append(("acquire", name))

    @override
    def release(self, name):
        self.asked.append(("release", name))

    @override
    def close(self):
        self.asked.append(("close", ""))


class Elsewhere(Placement):
    """Says that its parts compute where nothing can be computed."""

    @override
    def plan(self, parts, memory):
        places = {part.name: Place(CPU) for part in parts}
        return PlacementPlan(places, {"cpu": 0})

    @override
    def residency(self, plan, model):
        return Noted(device=torch.device("meta"))


def test_each_part_is_brought_before_it_computes_and_the_next_one_ahead():
    model, residency = StackModel(Stack(depth=2)), Noted(["inner.blocks.0", "out"])
    escort(model, ["embed", "inner.blocks.0", "inner.blocks.1", "norm", "out"], residency, CPU)
    logits(model)
    visits = [
        ("embed", "inner.blocks.0"),
        ("embed", "inner.blocks.0"),
        ("inner.blocks.0", "out"),
        ("inner.blocks.1", "out"),
        ("norm", "out"),
        ("out", "inner.blocks.0"),
    ]

    assert residency.asked == [
        (what, name)
        for part, ahead in visits
        for what, name in (("acquire", part), ("prefetch", ahead), ("release", part))
    ]


def test_a_part_that_fails_is_let_go():
    model, residency = StackModel(Stack()), Noted()
    escort(model, ["out"], residency, CPU)
    with pytest.raises(RuntimeError):
        model.out(torch.zeros(1, 3))

    assert [("acquire", "out"), ("release", "out")] == residency.asked


def test_other_models_of_the_class_are_called_as_ever():
    escorted, other, residency = StackModel(Stack()), StackModel(Stack()), Noted()
    escort(escorted, ["out"], residency, CPU)
    logits(other)

    assert [] == residency.asked
    assert residency is residency_of(escorted)
    assert residency_of(other) is None


REFUSED = {
    "to a device": ("moved or converted", lambda module: module.to("meta")),
    "to a type": ("moved or converted", lambda module: module.half()),
    "deep copy": ("copied or pickled", copy.deepcopy),
    "copy": ("copied or pickled", copy.copy),
    "pickle": ("copied or pickled", pickle.dumps),
    "file": ("copied or pickled", lambda module: torch.save(module, io.BytesIO())),
}


@pytest.mark.parametrize("inside", ["", "inner.blocks.1"])
@pytest.mark.parametrize("way", REFUSED)
def test_what_is_escorted_is_neither_moved_nor_copied(folder, way, inside):
    model = loaded(folder, {"": "cpu", "inner.blocks": "disk"}).model
    before, (done, attempt) = logits(model), REFUSED[way]
    with pytest.raises(PlacementError, match=f"placed part by part cannot be {done}: load it aga"):
        attempt(model.get_submodule(inside))

    assert torch.equal(before, logits(model))


def test_what_holds_escorted_parts_is_neither_moved_nor_copied(folder):
    model = loaded(folder, {"": "cpu", "inner.blocks": "disk"}).model
    with pytest.raises(PlacementError, match="cannot be moved or converted"):
        model.inner.to("meta")
    with pytest.raises(PlacementError, match="cannot be copied or pickled"):
        copy.deepcopy(model.inner)


def test_what_is_not_placed_is_moved_and_copied(folder):
    model = loaded(folder).model
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.out.weight.zero_()

    assert logits(model).any()
    assert not logits(copied).any()
    assert torch.float64 == copied.double().out.weight.dtype


def test_a_model_that_does_not_run_like_this_is_refused_when_it_is_loaded(folder):
    with pytest.raises(PlacementError, match="the models of stack cannot be placed like"):
        loaded(folder, Elsewhere())


def test_tensors_are_brought_wherever_they_are():
    given = {"x": [torch.zeros(1)], "y": (torch.zeros(2), 3)}
    found = moved(given, torch.device("meta"))

    assert ("meta", "meta") == (found["x"][0].device.type, found["y"][0].device.type)
    assert 3 == found["y"][1]
    assert json.dumps({"a": 1}) == moved(json.dumps({"a": 1}), CPU)
