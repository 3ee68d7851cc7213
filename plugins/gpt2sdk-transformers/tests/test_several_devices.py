"""Parts on several devices: nothing is mixed that lies on two, and offloaded parts come and go.

Devices are fake ones of torch: tensors have a shape and a device, no numbers; who mixes two fails.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from typing_extensions import override

from gpt2sdk import Residency
from gpt2sdk.loading.escorting import escort
from gpt2sdk_transformers.architecture import TransformersArchitecture
from gpt2sdk_transformers.model import TransformersLM

FIRST, SECOND = "privateuseone:0", "privateuseone:1"
"""What torch calls devices of a kind that it does not know."""

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "sliding_window": 4,
}
NOTHING = "nothing is wrong"
CASES = [
    f"{kind} {places}{how}"
    for kind in ("llama", "gemma2", "qwen3", "phi3")
    for places in ("split", "behind")
    for how in ("", " offloaded")
]
ROWS = [[3, 4, 5, 6, 7], [8], [9, 10, 11]]


class Movers(TorchFunctionMode):
    """Moves and makes tensors without numbers: torch would look for a kernel of the device."""

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        if func is torch.tensor:
            with unset_fake_temporarily():
                made = func(*args, **{**named, "device": "cpu"})
            return torch.empty(made.shape, dtype=made.dtype, device=named.get("device") or "cpu")
        if func is torch.Tensor.to:
            tensor, *wanted = args
            device, dtype = tensor.device, tensor.dtype
            for each in (*wanted, *named.values()):
                if isinstance(each, torch.Tensor):
                    device, dtype = each.device, each.dtype
                elif isinstance(each, torch.dtype):
                    dtype = each
                elif isinstance(each, str | torch.device):
                    device = torch.device(each)
            if device != tensor.device:
                return torch.empty(tensor.shape, dtype=dtype, device=device)
        return func(*args, **named)


class Places(Residency):
    """Each part computes on its device; those that are offloaded are on the CPU between calls."""

    def __init__(self, places: dict[str, str], offloaded: set[str]) -> None:
        self.places, self.offloaded = places, offloaded
        self.modules: dict[str, nn.Module] = {}
        self.brought: list[str] = []

    @override
    def device(self, name: str) -> torch.device:
        return torch.device(self.places[name])

    @override
    def permanent(self, name: str) -> bool:
        return name not in self.offloaded

    @override
    def stow(self, name: str, module: nn.Module) -> None:
        self.modules[name] = module
        self.move(name, "cpu" if name in self.offloaded else self.places[name])

    @override
    def prefetch(self, name: str) -> None:
        pass

    @override
    def acquire(self, name: str) -> None:
        if name in self.offloaded:
            self.brought.append(name)
            self.move(name, self.places[name])

    @override
    def release(self, name: str) -> None:
        if name in self.offloaded:
            self.move(name, "cpu")

    @override
    def close(self) -> None:
        pass

    def move(self, name: str, device: str) -> None:
        for owner in self.modules[name].modules():
            for leaf, value in list(owner.named_parameters(recurse=False)):
                moved = nn.Parameter(value.detach().to(device), requires_grad=False)
                owner._parameters[leaf] = moved  # noqa: SLF001 - torch has no other way


def placed(
    kind: str, places: Callable[[list[str]], dict[str, str]], offloaded: set[str]
) -> tuple[TransformersLM, Places]:
    """Return a model of fake tensors whose parts are on devices."""
    architecture = TransformersArchitecture(config=json.dumps({"model_type": kind, **SIZES}))
    with unset_fake_temporarily():
        names = list(architecture.parts())
        with torch.device("meta"):
            model = architecture.make_model(torch.float32)
    residency = Places(places(names), {each for each in names if each in offloaded})
    for owner in model.modules():
        for leaf, value in list(owner.named_parameters(recurse=False)):
            owner._parameters[leaf] = nn.Parameter(  # noqa: SLF001 - torch has no other way
                torch.empty(value.shape, device="cpu"), requires_grad=False
            )
        for leaf, value in list(owner.named_buffers(recurse=False)):
            owner.register_buffer(leaf, torch.empty(value.shape, device="cpu"), persistent=False)
    for name in names:
        residency.stow(name, model.get_submodule(name))
    model.eval()
    model.settle()
    escort(model, names, residency, model.device)
    return model, residency


def split(names: list[str]) -> dict[str, str]:
    """Let neighbours lie on different devices."""
    return dict(zip(names, cycle((FIRST, SECOND, "cpu")), strict=False))


def behind(names: list[str]) -> dict[str, str]:
    """Let the second half lie on the second device."""
    return {name: (FIRST, SECOND)[place >= len(names) // 2] for place, name in enumerate(names)}


PLACES = {"split": split, "behind": behind}


def passed_through(
    kind: str, places: Callable[[list[str]], dict[str, str]], *, offload: bool
) -> str:
    """Let rows pass through, be forked, cut back and fed again; say what is wrong."""
    blocks = {f"network.model.layers.{number}" for number in range(2)} if offload else set()
    with FakeTensorMode(allow_non_fake_inputs=True), Movers():
        model, residency = placed(kind, places, blocks)
        cache = model.make_cache(3)
        scores = model.score(cache, ROWS, [2, 1, 1], hidden_states=[0, model.layers])
        cache.fork([0, 0, 2])
        cache.rewind([4, 5, 3])
        again = model.score(cache, [[1], [2], [3]], [1, 1, 1])
        logits = model.unembed(model.final_norm(scores.hidden_states[model.layers]))
    devices = {str(each.device) for each in (scores.logits, again.logits, logits)}
    if devices != {FIRST} or len(residency.brought) != (2 * 2 if offload else 0):
        return f"logits on {devices}, brought: {residency.brought}"
    return NOTHING


def mixed() -> str:
    """Say what comes of a part that is elsewhere than was said."""
    with FakeTensorMode(allow_non_fake_inputs=True), Movers():
        model, residency = placed("llama", behind, set())
        residency.move("network.model.layers.1", FIRST)
        try:
            model.score(model.make_cache(3), ROWS, [1, 1, 1])
        except RuntimeError as error:
            return str(error)
    return NOTHING


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What a process of its own found, since torch cannot forget a kind of device again."""
    program = [sys.executable, str(Path(__file__))]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    read: dict[str, str] = json.loads(done.stdout)
    return read


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_rows_pass_through_several_devices(found: dict[str, str], case: str) -> None:
    assert found[case] == NOTHING


@pytest.mark.slow
def test_devices_that_are_mixed_are_noticed(found: dict[str, str]) -> None:
    assert "on the same device" in found["mixed"]


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend()
    answers = {
        case: passed_through(
            *case.split()[:1], PLACES[case.split()[1]], offload="offloaded" in case
        )
        for case in CASES
    }
    sys.stdout.write(json.dumps({**answers, "mixed": mixed()}))
