"""A device for each part, named by hand, in accelerate's form."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Part, Place, PlacementError, PlacementPlan
from gpt2sdk_accelerate.arrangement import accelerators
from gpt2sdk_accelerate.ledger import CPU, finished, is_block
from gpt2sdk_accelerate.planned import Planned

# What the Hugging Face layout has before the names of GPT-2's parts.
_PREFIX = "transformer"
# What is here before the names that parts have in another library, and what maps for that name
# besides: it has no weights, or, tied, none of its own.
_NETWORK, _WITHOUT_WEIGHTS = "network.", ("rotary_emb", "lm_head", "embed_out")


class DeviceMap(Planned):
    """Places parts as a mapping says: `{"wte": 0, "h.0": "cpu", "h.3": "disk", "": "cuda:1"}`.

    Keys are parts (of a GPT-2 `wte`, `wpe`, `h.0`, `ln_f`, `lm_head`), what several begin with (`h`
    for all blocks), or the empty string for whatever is not named; a prefix that parts do not have,
    such as `transformer.`, may stand before them. Values are a device's number
    or name, `cpu` or `disk`. A block on `cpu` or `disk` is kept there, and computed by the device
    of the blocks before it, or the first one named; by the CPU if none is named. Other parts are
    computed by the CPU then.

    Attributes:
        device_map: The mapping, or its pairs.
    """

    device_map: tuple[tuple[str, int | str], ...] = Field(
        (), description="a device, cpu or disk for each part"
    )

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        chosen = self._chosen([part.name for part in parts])
        named = [
            _device(value, memory) for value in chosen.values() if value not in ("cpu", "disk")
        ]
        main = named[0] if named else CPU
        places = {}
        for part in parts:
            value = chosen[part.name]
            if value not in ("cpu", "disk"):
                place = Place(_device(value, memory), reason="as asked")
                main = place.device if is_block(part) else main
            else:
                device = main if is_block(part) else CPU
                place = Place(device, "disk" if value == "disk" else _off(device), "as asked")
            places[part.name] = place
        return finished(parts, places, memory, self.reserved_tokens(parts))

    def _chosen(self, names: Sequence[str]) -> dict[str, int | str]:
        """Return the value for each part.

        Raises:
            PlacementError: If a key names no part or a piece of one, or a part has no value.
        """
        known = {key for name in names for key in _above(name)}
        values = {_plain(key, known): value for key, value in self.device_map}
        _drop_weightless(values, names, known)
        for key in values.keys() - known:
            raise _unknown(key, names)
        chosen: dict[str, int | str] = {}
        for name in names:
            for key in _above(name):
                if key in values:
                    chosen[name] = values[key]
        if missing := [name for name in names if name not in chosen]:
            raise PlacementError(
                f"device_map says nothing of {', '.join(missing)}: name them, or give a device for "
                'the rest: {"": "cpu"}'
            )
        return chosen


def _drop_weightless(
    values: dict[str, int | str], names: Sequence[str], known: Collection[str]
) -> None:
    """Take out what stands in the maps that accelerate makes, and has no weights.

    Raises:
        PlacementError: If a tied head is to be elsewhere than its table.
    """
    if "wte" in names:
        values.pop("drop", None)
        if "lm_head" not in names and "lm_head" in values:
            _check_tied(values)
    elif any(name.startswith(_NETWORK) for name in names):
        for key in values.keys() - set(known):
            if key.endswith(_WITHOUT_WEIGHTS):
                del values[key]


def _off(device: torch.device) -> Literal["device", "cpu"]:
    """Where weights are kept that `cpu` was said of."""
    return "device" if device == CPU else "cpu"


def _above(name: str) -> list[str]:
    """Return the keys that speak for a part, from all to itself.

    >>> _above("model.layers.0")
    ['', 'model', 'model.layers', 'model.layers.0']
    """
    words = name.split(".")
    return ["", *(".".join(words[:end]) for end in range(1, len(words) + 1))]


def _plain(key: str, known: Collection[str]) -> str:
    """Return a key without the prefix of the layout in which a checkpoint has the parts.

    >>> _plain("transformer.h.0", {"h.0"}), _plain("transformer", {""}), _plain("h.1", {"h.0"})
    ('h.0', '', 'h.1')
    >>> _plain("model.norm", {"network.model.norm"})
    'network.model.norm'
    """
    for name in (key, f"{_NETWORK}{key}"):
        if name in known:
            return name
    return "" if key == _PREFIX else key.removeprefix(f"{_PREFIX}.")


def _check_tied(values: dict[str, int | str]) -> None:
    """Take the entry of a head that is the table of tokens out."""
    head, table = values.pop("lm_head"), values.get("wte", values.get(""))
    if head != table:
        raise PlacementError(
            f"device_map puts lm_head on {head} and wte on {table}, but they are one matrix: give "
            "both the same device"
        )


def _unknown(key: str, names: Sequence[str]) -> PlacementError:
    """The error for a key that is no part of the model."""
    whole = next((name for name in names if key.startswith(f"{name}.")), None)
    if whole is not None:
        return PlacementError(
            f"device_map: {key} is a piece of {whole}, which is placed as a whole: write {whole}"
        )
    near = difflib.get_close_matches(key, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {names[0]} to {names[-1]}"
    return PlacementError(f"device_map: {key} is not a part of this model; {hint}")


def _device(value: int | str, memory: Mapping[str, int]) -> torch.device:
    """Find a device, by its number or name, among those there are."""
    there = list(accelerators(memory))
    named = {str(value), f"{value}:0"}
    if isinstance(value, int):
        named = {name for name in there if torch.device(name).index == value}
    found = next((name for name in there if name in named), None)
    if found is None:
        raise PlacementError(
            f"device_map: there is no device {value!r}; there are "
            f"{', '.join([*there, 'cpu'])} and disk"
        )
    return torch.device(found)
