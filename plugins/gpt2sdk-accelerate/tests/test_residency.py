"""Models whose parts are in files or pass through buffers, the CPU standing for the device."""

import gc
import json
import threading
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gpt2sdk import Place, PlacementError, PlacementPlan
from gpt2sdk_accelerate import part_file, placed_parts
from gpt2sdk_accelerate.disk_offload import DiskOffload
from gpt2sdk_accelerate.flat import Flat
from gpt2sdk_accelerate.keeper import Stays
from gpt2sdk_accelerate.lane import Lane, PlainLane
from gpt2sdk_accelerate.part_file import PartFile
from gpt2sdk_accelerate.passing import Passing
from gpt2sdk_accelerate.placed_parts import PlacedParts
from gpt2sdk_accelerate.transit import Transit

CPU = torch.device("cpu")
MEMORY = {"cpu": 10**9}


def passing(parts, kept="cpu", transit=None):
    """Return a residency whose blocks pass through buffers on the CPU."""
    transit = transit or Transit(PlainLane(CPU))
    keepers = {
        part.name: Passing(part.name, transit, on_disk=kept == "disk", folder=None)
        if part.name.startswith("h.")
        else Stays()
        for part in parts
    }
    return PlacedParts(dict.fromkeys(keepers, CPU), keepers, [transit])


@pytest.fixture
def mapped(build, parts_of, stow):
    """Return a function that makes a model whose weights are on disk."""

    def mapped(folder=None, **changes):
        model = build(**changes)
        placement = DiskOffload(offload_folder=folder)
        plan = placement.plan(parts_of(model), MEMORY)
        stow(model, placement.residency(plan, model), parts_of(model))
        return model

    return mapped


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("tied", [True, False])
def test_a_model_on_disk_computes_the_same(prepared, tied, build, mapped, logits):
    expected = logits(build(tie_word_embeddings=tied))
    model = mapped(tie_word_embeddings=tied)
    if prepared:
        model.prepare()

    assert torch.equal(expected, logits(model))
    assert torch.equal(expected, logits(model))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("kept", ["cpu", "disk"])
def test_blocks_that_pass_through_slots_compute_the_same(
    prepared, kept, build, parts_of, stow, logits
):
    model = build()
    stow(model, passing(parts_of(model), kept=kept), parts_of(model))
    if prepared:
        model.prepare()

    assert torch.equal(logits(build()), logits(model))
    assert torch.equal(logits(build()), logits(model))
    model.residency.close()


class Late(Lane):
    """A device whose copies arrive when they are waited for, and not before."""

    def __init__(self, device):
        super().__init__(device)
        self.pending = []
        self.waited = 0

    def on_host(self, nbytes):
        return torch.zeros(nbytes, dtype=torch.uint8)

    def mark(self):
        return None

    def send(self, into, source, after):
        into.fill_(0xFF)
        self.pending.append((into, source))

    def wait(self, mark):
        self.waited += 1
        self._arrive()

    def finish(self, mark):
        self._arrive()

    def _arrive(self):
        while self.pending:
            into, source = self.pending.pop(0)
            into.copy_(source)


@pytest.mark.parametrize("kept", ["cpu", "disk"])
def test_a_block_is_waited_for_before_it_computes(kept, build, parts_of, stow, logits):
    model = build()
    stow(model, passing(parts_of(model), kept, Transit(Late(CPU))), parts_of(model))

    assert torch.equal(logits(build()), logits(model))
    model.residency.close()


class Event(torch.cuda.Event):
    """A mark with a number, made without a device."""

    def __new__(cls, number):
        event = object.__new__(cls)
        event.number = number
        return event

    def __init__(self, number):
        pass


class Ordered(Late):
    """Writes down marks: what was issued in which order, and what a copy was told to wait for."""

    def __init__(self, device):
        super().__init__(device)
        self.made = []
        self.sends = []

    def mark(self):
        return self._made("computed")

    def send(self, into, source, after):
        super().send(into, source, after)
        self.sends.append((into.data_ptr(), after.number))
        return self._made("sent")

    def _made(self, what):
        self.made.append(what)
        return Event(len(self.made) - 1)


@pytest.mark.parametrize("kept", ["cpu", "disk"])
def test_a_copy_waits_for_what_last_computed_in_its_buffer(kept, build, parts_of, stow, logits):
    model = build()
    lane = Ordered(CPU)
    stow(model, passing(parts_of(model), kept, Transit(lane)), parts_of(model))
    model.prepare()
    logits(model)
    logits(model)
    model.residency.close()

    last = {}
    for buffer, after in lane.sends:
        assert "computed" == lane.made[after]
        assert last.get(buffer, -1) < after
        last[buffer] = after
    assert 2 == len(last)
    # Four blocks a step, four steps, and the first block of a fifth, which was never taken.
    assert 17 == len(lane.sends)


def test_one_block_computes_while_the_next_one_comes(build, parts_of):
    model = build()
    transit = Transit(PlainLane(CPU))
    residency = passing(parts_of(model), transit=transit)
    for layer in range(4):
        residency.stow(f"h.{layer}", model.h[layer])
    residency.acquire("h.0")
    residency.prefetch("h.1")
    residency.prefetch("h.1")

    assert {"h.0", "h.1"} == transit.owners
    residency.release("h.0")
    residency.acquire("h.1")
    residency.prefetch("h.2")
    assert {"h.1", "h.2"} == transit.owners
    residency.release("h.1")


def test_weights_can_be_looked_at_wherever_they_are(build, mapped, parts_of, stow):
    expected = build().state_dict()
    model = build()
    stow(model, passing(parts_of(model)), parts_of(model))
    model.score(model.make_cache(1), [[1, 2]], [1])

    for state in (model.state_dict(), mapped().state_dict()):
        assert expected.keys() == state.keys()
        assert all(torch.equal(expected[name], state[name]) for name in expected)


def test_threads_share_a_model(build, mapped, parts_of, stow, logits):
    through = build()
    stow(through, passing(parts_of(through), kept="disk"), parts_of(through))
    expected = logits(build())
    for model in (mapped(), through):
        model.prepare()
        found = []

        def work(model=model, found=found):
            found.extend(logits(model) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 15 == len(found)
        assert all(torch.equal(expected, each) for each in found)
    through.residency.close()


def test_what_raises_lets_the_others_in(build, parts_of, stow, logits):
    model = build()
    stow(model, passing(parts_of(model)), parts_of(model))
    handle = model.h[1].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        logits(model)
    handle.remove()
    found = []
    thread = threading.Thread(target=lambda: found.append(logits(model)))
    thread.start()
    thread.join(timeout=30)

    assert torch.equal(logits(build()), found[0])


def test_a_file_that_cannot_be_read_is_an_error_and_then_forgotten():
    transit = Transit(PlainLane(CPU))
    transit.reserve(4)
    transit.prefetch("h.0", lambda memory: memory.fill_(1 // 0), 4)
    with pytest.raises(ZeroDivisionError):
        transit.enter("h.0", lambda memory: memory.fill_(1), 4)

    assert set() == transit.owners
    assert [1, 1, 1, 1] == transit.enter("h.0", lambda memory: memory.fill_(1), 4).tolist()
    transit.leave()
    transit.close()


def test_files_in_a_folder_are_safetensors_and_stay(tmp_path, build, mapped):
    model = mapped(str(tmp_path))
    model.residency.close()
    del model
    gc.collect()
    names = sorted(file.name for file in tmp_path.iterdir())

    assert ["h.0", "h.1", "h.2", "h.3", "wpe", "wte"] == [
        name.removesuffix(".safetensors") for name in names
    ]
    saved = load_file(tmp_path / "h.2.safetensors")
    expected = build().h[2].state_dict()
    assert expected.keys() == saved.keys()
    assert all(torch.equal(expected[name], saved[name]) for name in expected)


def test_by_default_no_file_has_a_name(tmp_path, monkeypatch, mapped, logits):
    monkeypatch.setattr(part_file, "temporary_folder", lambda: str(tmp_path))
    monkeypatch.setattr(placed_parts, "temporary_folder", lambda: str(tmp_path))
    logits(mapped())

    assert [] == list(tmp_path.iterdir())


def test_a_second_model_leaves_the_files_of_the_first_alone(tmp_path, build, mapped, logits):
    first = mapped(str(tmp_path))
    mapped(str(tmp_path), initializer_range=0.5)

    assert torch.equal(logits(build()), logits(first))


class Numbers(nn.Module):
    """Tensors of many types and odd sizes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("nibbles", torch.arange(7, dtype=torch.uint8))
        self.register_buffer("int8", torch.arange(-3, 4, dtype=torch.int8).view(7, 1))
        self.register_buffer("scale", torch.tensor(2.5))
        self.register_buffer("bf16", torch.arange(3).to(torch.bfloat16))
        self.register_buffer("fp16", torch.arange(6.0).half().view(2, 3).t())
        self.register_buffer("none", torch.empty(0))
        self.register_buffer("yes", torch.tensor([True, False, True]))
        self.weight = nn.Parameter(torch.arange(10, dtype=torch.float64))


@pytest.mark.parametrize("align", [1, 256])
def test_tensors_of_every_kind_lie_in_a_row(align):
    module = Numbers()
    flat = Flat(module, align)
    memory = torch.zeros(flat.nbytes, dtype=torch.uint8)
    flat.fill(memory, [tensor.detach() for tensor in flat.tensors])

    assert all(map(torch.equal, flat.tensors, flat.views(memory)))
    assert all(
        start % max(align, dtype.itemsize) == 0
        for start, dtype in zip(flat.starts, flat.dtypes, strict=True)
    )


def test_tensors_of_every_kind_are_kept_in_files(tmp_path):
    module, expected = Numbers(), Numbers().state_dict()
    flat = Flat(module)
    file = PartFile("numbers", flat, str(tmp_path))
    flat.bind(file.tensors)
    file.read_ahead()
    file.let_go()

    assert all(torch.equal(expected[name], value) for name, value in module.state_dict().items())
    saved = load_file(tmp_path / "numbers.safetensors")
    assert all(torch.equal(expected[name], saved[name]) for name in expected)
    raw = (tmp_path / "numbers.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "numbers" == header["__metadata__"]["part"]


def test_what_is_written_to_pages_does_not_reach_the_file(tmp_path):
    module = nn.Linear(2, 2)
    flat = Flat(module)
    file = PartFile("linear", flat, str(tmp_path))
    flat.bind(file.tensors)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.fill_(7)

    assert torch.equal(before, load_file(tmp_path / "linear.safetensors")["weight"])


def test_types_that_files_lack_are_refused():
    module = nn.Module()
    module.register_buffer("wave", torch.zeros(2, dtype=torch.complex64))

    with pytest.raises(PlacementError, match=r"h\.0: wave is torch\.complex64"):
        PartFile("h.0", Flat(module), None)


def test_a_full_disk_is_found_before_work(monkeypatch, build, parts_of):
    full = namedtuple("usage", "total used free")(10**9, 10**9, 1000)  # noqa: PYI024
    monkeypatch.setattr(placed_parts.shutil, "disk_usage", lambda _: full)
    model = build()
    plan = DiskOffload().plan(parts_of(model), MEMORY)

    with pytest.raises(PlacementError, match=r" kB are needed, 1\.0 kB are free"):
        DiskOffload().residency(plan, model)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_an_error(monkeypatch, build):
    full = Path("/dev/full").open("w+b")  # noqa: SIM115 - closed by who writes to it
    monkeypatch.setattr(part_file.tempfile, "TemporaryFile", lambda **_: full)
    with pytest.raises(PlacementError, match=r"h\.0 could not be written .* No space left"):
        PartFile("h.0", Flat(build().h[0]), None)


def test_what_could_not_be_written_is_removed(tmp_path, monkeypatch, build):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part_file, "_write", fail)
    with pytest.raises(PlacementError, match="No space left"):
        PartFile("h.0", Flat(build().h[0]), str(tmp_path))
    assert [] == list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error(tmp_path, build, parts_of):
    model, missing = build(), DiskOffload(offload_folder=str(tmp_path / "none"))
    plan = missing.plan(parts_of(model), MEMORY)

    with pytest.raises(PlacementError, match="there is no such folder"):
        missing.residency(plan, model)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_a_device_that_is_not_there_is_an_error(build):
    plan = PlacementPlan({"wte": Place(torch.device("cuda:0"))}, {})

    with pytest.raises(PlacementError, match="cuda:0 is not there"):
        DiskOffload().residency(plan, build())


def test_a_closed_model_says_so(build, mapped, logits):
    model = mapped()
    model.residency.close()

    with pytest.raises(PlacementError, match="was closed"):
        logits(model)


def test_a_cache_forks_and_rewinds_on_a_model_on_disk(build, mapped):
    def decode(model):
        cache = model.make_cache(2)
        model.score(cache, [[3, 1, 4, 1], [2, 7]], [1, 1])
        cache.fork([1, 0, 0])
        cache.rewind([2, 3, 4])
        return model.score(cache, [[5, 6], [9], []], [2, 1, 0]).logits

    assert torch.equal(decode(build()), decode(mapped()))
