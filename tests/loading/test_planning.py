"""A plan says what loading does before anything is allocated, and loading does just that."""

import json
import re
from dataclasses import replace

import pytest
import torch

from gpt2sdk import (
    OptionError,
    Place,
    Placement,
    PlacementError,
    PlacementPlan,
    PluginContractError,
    hookimpl,
)
from gpt2sdk.gpt2 import GPT2Architecture
from gpt2sdk.loading import open_model, parse_size, size_text
from gpt2sdk.loading.recipe import Recipe, plan_recipe
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import tiny_gpt2

TOKENS = 256
WIDTH = 32


def held(model):
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def formats(plan):
    return {each.matrix.name: each.format for part in plan.parts for each in part.matrices}


def fails(action, error=PlacementError):
    with pytest.raises(error) as caught:
        action()
    return str(caught.value)


# ------------------------------------------------------------------------------------- records


def test_a_plain_plan_counts_what_the_model_has(fakes, tiny):
    plan = fakes.plan(tiny)
    size = sum(parameter.nbytes for parameter in tiny_gpt2().parameters())

    assert (size, size, size // 4) == (plan.nbytes, plan.file_nbytes, plan.parameters)
    assert ["wte", "wpe", "h.0", "h.1", "ln_f"] == [part.name for part in plan.parts]
    assert {"float32"} == set(formats(plan).values())
    assert (torch.float32, None, None, TOKENS) == (
        plan.dtype,
        plan.quantizer,
        plan.placement,
        plan.reserved_tokens,
    )


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 4), ("float64", 8)])
def test_keys_and_values_on_a_cpu_are_float32_or_wider(fakes, tiny, dtype, size):
    plan = fakes.plan(tiny, dtype)
    model = fakes.load(tiny, dtype).model
    cache = model.make_cache(1)
    model.score(cache, [[1] * 32], keep=[1])  # room is made for 64 at first

    assert 1000 * 2 * 2 * WIDTH * size == plan.cache_nbytes_per_1000_tokens
    assert cache.nbytes * 1000 // 64 == plan.cache_nbytes_per_1000_tokens


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_a_quantized_plan_counts_what_the_model_holds(fakes, tiny, dtype):
    plan = fakes.plan(tiny, dtype, quantization="byte", max_memory="1GB")
    loaded = fakes.load(tiny, dtype, quantization="byte", max_memory="1GB")

    assert held(loaded.model) == plan.nbytes
    assert held(loaded.model.h[1]) == plan.parts[3].nbytes
    assert plan.as_dict() == loaded.plan.as_dict()


def test_the_packed_head_is_counted_beside_its_table(fakes, tiny, tmp_path):
    from gpt2sdk.gpt2 import GPT2, save_pretrained
    from gpt2sdk.testing import tiny_tokenizer

    config = tiny_gpt2().config.model_copy(update={"vocab_size": 2**12})
    model = GPT2(config)
    save_pretrained(model, config, tiny_tokenizer(), tmp_path / "wide")
    table = model.wte.weight.nbytes
    model.prepare()
    packs = model.prepare()["lm_head"] == "onednn"
    wte = fakes.plan(tmp_path / "wide").parts[0]

    assert table * (1 + packs) == wte.nbytes
    assert table == wte.stored_nbytes
    assert ("float32 and a packed copy" if packs else "float32") == wte.matrices[0].format


def test_what_a_quantizer_leaves_alone_stays_as_it_is(fakes, tiny):
    plan = fakes.plan(tiny, quantization=fakes.Byte(skip=("wte.weight", "mlp.c_fc.weight")))

    assert "float32" == formats(plan)["wte.weight"] == formats(plan)["h.1.mlp.c_fc.weight"]
    assert "byte per row" == formats(plan)["h.1.attn.c_proj.weight"]


def test_a_plan_is_json_and_adds_up(fakes, tiny):
    plan = fakes.plan(tiny, quantization="byte")
    said = json.loads(json.dumps(plan.as_dict()))

    assert said["nbytes"] == sum(part["nbytes"] for part in said["parts"])
    assert said["peak_nbytes"] == said["devices"]["cpu"]["peak"]
    assert ("byte", False, None) == (said["quantization"], said["restored"], said["placement"])
    device = said["devices"]["cpu"]
    assert device["peak"] == device["weights"] + max(device["workspace"], device["cache"])
    assert TOKENS * 2 * 2 * WIDTH * 4 == device["cache"]


def test_a_plan_says_how_products_are_made_and_what_they_depend_on(fakes, tiny):
    plan = fakes.plan(tiny, quantization="byte")

    assert {"cpu": "byte, dequantized for each product"} == plan.kernels
    assert "byte: a row's result can depend on the rows beside it" in plan.notes
    assert not any("dequantized" in note for note in plan.notes)
    assert not any("depend" in note for note in fakes.plan(tiny, quantization="half").notes)


def test_bytes_in_the_file_are_those_that_the_source_says(fakes, tiny, monkeypatch):
    """A format may hold fewer than it reads."""
    from gpt2sdk.files.tensors import SafetensorsSource

    before = fakes.plan(tiny)
    monkeypatch.setattr(SafetensorsSource, "nbytes", lambda self, name: 7)
    plan = fakes.plan(tiny)

    assert 7 * 2 * 12 + 7 * 4 == plan.file_nbytes
    assert [part.workspace for part in before.parts] == [part.workspace for part in plan.parts]


def test_planning_reads_no_weights(fakes, tiny, monkeypatch):
    from gpt2sdk.files.tensors import SafetensorsSource

    def read(*_):
        raise AssertionError("weights were read")

    monkeypatch.setattr(SafetensorsSource, "slabs", read)
    monkeypatch.setattr(SafetensorsSource, "read", read)

    fakes.plan(tiny, quantization="byte", placement="attic")
    with pytest.raises(Exception, match="weights were read"):
        fakes.load(tiny)


# ------------------------------------------------------------------------------------- budgets


def test_what_does_not_fit_is_said_with_what_would(fakes, tiny):
    plain, half = fakes.plan(tiny, "bfloat16"), fakes.plan(tiny, "float32")
    between = (plain.peak_nbytes + half.peak_nbytes) // 2
    message = fails(lambda: fakes.load(tiny, max_memory=between))

    assert f"but only {size_text(between)} may be used" in message
    assert f"{size_text(half.peak_nbytes)} are needed" in message
    assert f"dtype='bfloat16' would fit ({size_text(plain.peak_nbytes)})" in message
    assert fakes.load(tiny, "bfloat16", max_memory=between)


def test_nothing_is_allocated_before_it_fits(fakes, tiny, monkeypatch):
    monkeypatch.setattr("gpt2sdk.loading.loaded.build", lambda *_: pytest.fail("it was built"))

    fails(lambda: fakes.load(tiny, max_memory="1KB"))


def test_where_nothing_fits_the_least_that_would_is_named(fakes, tiny):
    message = fails(lambda: fakes.plan(tiny, max_memory="1KB"))

    how = "quantization='byte' with dtype='bfloat16'"
    assert f"; the least that would do is max_memory='186.2KB' with {how}; " in message
    assert message.endswith("; placement='auto' needs less, with gpt2sdk-accelerate")
    settings = {"quantization": "byte", "dtype": "bfloat16"}
    assert fakes.plan(tiny, max_memory="186.2KB", **settings)
    assert " would fit (" in fails(lambda: fakes.plan(tiny, max_memory="200KB"))


def test_the_least_memory_of_a_placement_is_found(fakes, tiny):
    registry = fakes.registry_of(fakes.Byte, fakes.Auto)
    message = fails(lambda: fakes.plan(tiny, registry=registry, max_memory="1KB"))

    found = re.search(r"the least that would do is max_memory='([^']+)' with (.*)", message)
    size, how = found.groups()
    assert "placement='auto'" in how
    settings = {"placement": "auto", "quantization": "byte", "dtype": "bfloat16"}
    assert fakes.plan(tiny, registry=registry, max_memory=size, **settings)
    less = int(parse_size(size) * 0.9)
    fails(lambda: fakes.plan(tiny, registry=registry, max_memory=less, **settings))


def test_what_is_said_of_memory_that_does_not_suffice_is_short(fakes, tiny):
    message = fails(lambda: fakes.plan(tiny, quantization="auto", max_memory="1KB"))

    assert len(message) < 400


def test_a_placement_is_offered_where_one_is_installed(fakes, tiny):
    registry = fakes.registry_of(fakes.Byte, fakes.Auto)
    small = fakes.plan(tiny, "bfloat16", registry, quantization="byte", placement="auto")
    room = small.peak_nbytes
    message = fails(lambda: fakes.plan(tiny, registry=registry, max_memory=room))

    assert "quantization='byte' with dtype='bfloat16' with placement='auto' would fit" in message


def test_the_most_that_is_free_is_the_limit_by_default(fakes, tiny, monkeypatch):
    monkeypatch.setattr("gpt2sdk.loading.device_memory._free_in_system", lambda: 1000)

    assert "only 1.0 kB may be used" in fails(lambda: fakes.load(tiny))


# ---------------------------------------------------------------------------------------- auto


def test_auto_keeps_what_is_stored_while_it_fits(fakes, tiny):
    plan = fakes.plan(tiny, quantization="auto")

    assert (None, torch.float32) == (plan.quantizer, plan.dtype)
    assert "quantization='auto' chose float32" == plan.notes[-1]


def test_auto_goes_down_the_ladder_by_quality(fakes, tiny):
    """From float32 to bfloat16, to 16-bit rows, to 8-bit rows; never to what does not work."""
    registry = fakes.registry
    peaks = {
        "float32": fakes.plan(tiny).peak_nbytes,
        "bfloat16": fakes.plan(tiny, "bfloat16").peak_nbytes,
        "byte": fakes.plan(tiny, quantization="byte").peak_nbytes,
    }
    chosen = {}
    for name, peak in peaks.items():
        plan = fakes.plan(tiny, registry=registry, quantization="auto", max_memory=peak)
        chosen[name] = plan.quantizer.name if plan.quantizer else str(plan.dtype)[6:]
        assert plan.peak_nbytes <= peak
    plan = fakes.plan(tiny, quantization="auto", max_memory=peaks["byte"])

    assert peaks["byte"] < peaks["bfloat16"] < peaks["float32"]
    assert dict.fromkeys(peaks) | {name: name for name in peaks} == chosen
    assert "quantization='auto' chose float32 with byte; too large: float32 (" in plan.notes[-1]


def test_auto_keeps_the_type_that_was_asked_for(fakes, tiny):
    room = fakes.plan(tiny, quantization="byte").peak_nbytes
    plan = fakes.plan(tiny, "float32", quantization="auto", max_memory=room)

    assert "byte" == plan.quantizer.name
    assert not any("bfloat16" in note for note in plan.notes)


def test_auto_ends_with_a_placement(fakes, tiny):
    registry = fakes.registry_of(fakes.Byte, fakes.Auto)
    small = fakes.plan(tiny, "bfloat16", registry, quantization="byte", placement="auto")
    room = small.peak_nbytes
    plan = fakes.plan(tiny, registry=registry, quantization="auto", max_memory=room)

    assert ("byte", "auto") == (plan.quantizer.name, plan.placement.name)
    assert torch.bfloat16 == plan.dtype


def test_auto_keeps_the_best_quality_that_fits_with_a_placement(fakes, tiny):
    """What is too large on one device for 8 bits may be in 16 with its blocks elsewhere."""

    class Tight(fakes.Auto):
        name = "auto"

        def plan(self, parts, memory):
            plan = super().plan(parts, {"cpu": 10**9})
            return PlacementPlan(plan.places, {"cpu": 1000, "disk": 1}, reserved_tokens=0)

    registry = fakes.registry_of(fakes.Half, fakes.Byte, Tight)
    room = fakes.plan(tiny, "bfloat16", registry, placement="auto").peak_nbytes
    plan = fakes.plan(tiny, registry=registry, quantization="auto", max_memory=room)

    assert (None, torch.bfloat16, "auto") == (plan.quantizer, plan.dtype, plan.placement.name)


@pytest.mark.parametrize("fast", [True, False])
def test_auto_shortens_the_rest_before_the_next_quantizer(fakes, tiny, monkeypatch, fast):
    monkeypatch.setattr(GPT2Architecture, "packs", lambda *_: fast)
    last = fakes.plan(tiny, "bfloat16" if fast else "float32", quantization="byte")
    plan = fakes.plan(tiny, quantization="auto", max_memory=last.peak_nbytes)
    (message,) = [note for note in plan.notes if "too large" in note]

    assert fast == ("bfloat16 with half (" in message)
    if fast:
        assert message.index("bfloat16 with half (") < message.index("float32 with byte (")


def test_a_placement_that_finds_no_room_comes_with_what_would(fakes, tiny):
    room = fakes.plan(tiny, quantization="byte", placement="attic").peak_nbytes
    message = fails(lambda: fakes.plan(tiny, placement="attic", max_memory=room))

    assert " would fit (" in message


@pytest.mark.parametrize("quantization", [None, "byte", "auto"])
def test_what_is_no_lack_of_memory_comes_without_what_would_fit(fakes, tiny, quantization):
    with pytest.raises(PlacementError) as caught:
        fakes.plan(tiny, placement="lost", quantization=quantization)

    assert str(caught.value) == "there is no attic here: build one"
    assert not caught.value.out_of_memory


def test_a_quantized_folder_that_does_not_fit_comes_with_what_would(fakes, tiny, tmp_path):
    fakes.convert(tiny, tmp_path / "byte", "byte")
    room = fakes.plan(tmp_path / "byte", "bfloat16").peak_nbytes
    message = fails(lambda: fakes.plan(tmp_path / "byte", "float32", max_memory=room))

    assert message.endswith(f"; dtype='bfloat16' would fit ({size_text(room)})")


# ----------------------------------------------------------------------------------- workspace


def test_a_placed_plan_counts_what_loading_needs(fakes, tiny):
    plan = fakes.plan(tiny, placement="attic")
    cpu = plan.devices["cpu"]
    room = cpu.weights + max(cpu.workspace, cpu.cache) - 1

    assert "are needed" in fails(lambda: fakes.plan(tiny, placement="attic", max_memory=room))
    assert fakes.plan(tiny, placement="attic", max_memory=room + 1)


def test_what_is_kept_elsewhere_is_made_on_the_cpu(fakes, tiny):
    gpu = torch.device("cuda", 0)

    class Passing(fakes.Attic):
        def plan(self, parts, memory):
            places = {part.name: Place(gpu, "cpu") for part in parts}
            return PlacementPlan(places, {"cuda:0": 10, "cpu": 20}, reserved_tokens=3)

    opened = open_model(tiny, registry=fakes.registry)
    plan = plan_recipe(opened, Recipe(torch.float32, None, Passing()), gpu, {0: "1GB"})
    largest = max(part.workspace + part.stored_nbytes for part in plan.parts)

    assert (0, largest) == (plan.devices["cuda:0"].workspace, plan.devices["cpu"].workspace)
    assert (3, 3 * 2 * 2 * WIDTH * 4) == (plan.reserved_tokens, plan.devices["cuda:0"].cache)


def test_packing_counts_what_stays_and_products_count_what_does_not(fakes, tiny):
    def plan(self, matrix, device):
        made = fakes.Byte.plan(self, matrix, device)
        return replace(made, packing_workspace=10**7, passing_workspace=10**8)

    quantizer = broken(fakes.Byte, plan=plan)()
    resident = fakes.plan(tiny, quantization=quantizer)
    placed = fakes.plan(tiny, quantization=quantizer, placement="attic")

    assert (10**7, 0) == (resident.devices["cpu"].workspace, resident.devices["cpu"].passing)
    assert resident.devices["cpu"].peak == resident.nbytes + 10**7
    cpu = placed.devices["cpu"]
    assert 10**8 == cpu.passing
    assert cpu.peak == cpu.weights + cpu.cache + 10**8
    assert {0, 10**7} >= {each.workspace // 10**7 * 10**7 for each in placed.parts}
    assert placed.parts[2].workspace < 10**7


def test_parts_that_pass_are_said_to_compute_unpacked(fakes, tiny):
    kernels = fakes.plan(tiny, quantization="byte", placement="attic").kernels

    assert ["cpu", "cpu, parts that pass"] == list(kernels)
    assert "not packed" in kernels["cpu, parts that pass"]


def test_placements_are_told_of_the_context(fakes, tiny):
    seen = []

    class Asked(fakes.Attic):
        def plan(self, parts, memory):
            seen.extend(parts)
            return super().plan(parts, memory)

    fakes.plan(tiny, placement=Asked())

    assert {TOKENS} == {part.reserved_tokens for part in seen}
    assert all(part.workspace for part in seen)


@pytest.mark.parametrize(
    ("memory", "placement"),
    [({0: "2GB"}, None), ({0: "2GB"}, "attic"), ({"cpu": "2GB", 0: 5}, "attic")],
)
def test_a_model_on_the_cpu_has_no_budget_elsewhere(fakes, tiny, memory, placement):
    message = fails(lambda: fakes.plan(tiny, placement=placement, max_memory=memory), OptionError)

    assert "expected cpu only, where the model runs; device='cuda:0' would use others" in message


def test_auto_that_finds_nothing_says_how_much_was_tried(fakes, tiny):
    message = fails(lambda: fakes.plan(tiny, quantization="auto", max_memory="1KB"))

    assert f"{tiny} does not fit in any of " in message
    assert "the least that would do is max_memory='186.2KB' with quantization='byte'" in message


# --------------------------------------------------------------------------------------- names


def test_names_are_found_in_either_spelling(fakes, tiny):
    assert fakes.DeviceMap is fakes.registry.find(Placement, "device-map")
    assert "byte" == fakes.plan(tiny, quantization="byte").quantizer.name
    assert "attic" == fakes.plan(tiny, placement="attic").placement.name


def test_unknown_names_come_with_what_is_near(fakes, tiny):
    message = fails(lambda: fakes.load(tiny, quantization="bite"), OptionError)
    assert message.startswith("there is no quantizer 'bite': did you mean byte?")

    message = fails(lambda: fakes.load(tiny, placement="atic"), OptionError)
    assert message.startswith("there is no placement 'atic': did you mean attic?")


def test_a_quantizer_that_does_not_work_here_says_so(fakes, tiny):
    assert "nowhere works on no device" in fails(lambda: fakes.load(tiny, quantization="nowhere"))


def test_a_mapping_is_a_device_map(fakes, tiny):
    places = {"wte": "cpu", "wpe": "cpu", "h.0": "cpu", "h.1": "disk", "ln_f": "cpu"}
    plan = fakes.plan(tiny, placement=places)

    assert "device_map" == plan.placement.name
    assert "disk" == {part.name: part.kept for part in plan.parts}["h.1"]


# -------------------------------------------------------------------------------------- guards


def broken(kind, **methods):
    """A quantizer or placement with some methods replaced."""
    return type(kind.__name__, (kind,), {"__module__": __name__, **methods})


def raises(*_, **__):
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize("method", ["probe", "plan", "linear", "table"])
def test_a_quantizer_that_fails_is_named(fakes, tiny, method):
    quantizer = broken(fakes.Byte, **{method: raises})()
    message = fails(lambda: fakes.load(tiny, quantization=quantizer), PluginContractError)

    assert message.startswith("the quantizer byte failed")
    assert message.endswith("division by zero")


def test_a_quantizer_that_makes_something_else_is_named(fakes, tiny):
    def layer(self, matrix, slabs, bias, target):
        return fakes.RowsTable(torch.ones(1, 1), torch.ones(1), target.dtype)

    quantizer = broken(fakes.Byte, linear=layer)()
    message = fails(lambda: fakes.load(tiny, quantization=quantizer), PluginContractError)

    assert "wrong module of h.0.attn.c_attn.weight: expected a QuantizedLinear" in message


def test_memory_that_runs_out_while_quantizing_is_a_placement_error(fakes, tiny):
    def full(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    quantizer = broken(fakes.Byte, linear=full)()

    assert "no room left for h.0.attn.c_attn.weight while quantizing it with byte" in fails(
        lambda: fakes.load(tiny, quantization=quantizer)
    )


def test_a_placement_that_forgets_a_part_is_named(fakes, tiny):
    placement = broken(fakes.Attic, plan=lambda self, parts, memory: PlacementPlan({}, {}))()
    message = fails(lambda: fakes.load(tiny, placement=placement), PluginContractError)

    assert "made an incomplete plan: expected a place for each of wte, wpe, h.0" in message


def test_loading_executes_the_plan_with_a_placement(fakes, tiny):
    loaded = fakes.load(tiny, quantization="half", placement="attic")
    residency = loaded.model.residency

    assert ["wte", "wpe", "h.0", "h.1", "ln_f"] == residency.stowed
    assert loaded.plan.places.places is residency.places
    assert "blocks come from the attic" in loaded.notes


def test_a_residency_is_closed_when_loading_fails(fakes, tiny):
    seen = []

    def watch(self, plan, model):
        seen.append(fakes.Shelves(plan.places, model))
        return seen[0]

    placement = broken(fakes.Attic, residency=watch)()
    quantizer = broken(fakes.Byte, linear=raises)()
    with pytest.raises(Exception, match="division by zero"):
        fakes.load(tiny, placement=placement, quantization=quantizer)

    assert seen[0].closed


def test_installed_ones_are_found_by_default(fakes, tiny):
    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return (fakes.Byte,)

    assert fakes.load(tiny, registry=Registry([Plugin()]), quantization="byte")


def test_a_plan_for_devices_that_are_not_here_is_made_all_the_same(fakes, tiny):
    """Keys and values are then in the model's type: only CPUs hold them in float32."""

    class Gpu(fakes.Attic):
        def plan(self, parts, memory):
            assert ["cuda:0", "cpu"] == list(memory)
            assert {4 * WIDTH} == {part.cache_nbytes for part in parts[2:4]}
            places = {part.name: Place(torch.device("cuda", 0)) for part in parts}
            return PlacementPlan(places, {"cuda:0": sum(part.nbytes for part in parts)})

    opened = open_model(tiny, registry=fakes.registry)
    recipe = Recipe(torch.bfloat16, None, Gpu())
    plan = plan_recipe(opened, recipe, torch.device("cuda", 0), {0: "1GB"})

    assert {"cuda:0"} == {part.device for part in plan.parts}
    assert TOKENS * 2 * 4 * WIDTH == plan.devices["cuda:0"].cache
    assert 10**9 == plan.devices["cuda:0"].budget
