"""How a model is to be loaded, as it is written on the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gpt2sdk.cli.given_options import take_apart
from gpt2sdk.cli.load_flags import LoadFlags
from gpt2sdk.components.component import Component
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.loading import LoadSettings
from gpt2sdk.loading.lookup import find_placement, find_quantizer
from gpt2sdk.options import CHAIN_ROLES, NAMED_ROLES, Settings, parse, spelled
from gpt2sdk.plugins.registry import Registry


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is to be loaded, and what else was written behind `-o`.

    Attributes:
        settings: How it is loaded, with the settings of its quantizer and placement.
        rest: Each `name=value` that is about neither of them.
    """

    settings: LoadSettings
    rest: tuple[str, ...]


def read_load_options(
    flags: LoadFlags, written: Sequence[str] | None, registry: Registry, *, of_calls: bool = False
) -> LoadOptions:
    """Read flags and what stands behind `-o`.

    Args:
        flags: The flags.
        written: Each `name=value`: a setting of the quantizer or placement that the flags name.
        registry: Where these are looked for.
        of_calls: Whether options of calls may stand among the settings, to be left over.

    Raises:
        OptionError: If there is no such quantizer, placement or setting, or it could be another's.
    """
    quantization, placement = flags.quantization, read_placement(flags.placement)
    kinds = _kinds(quantization, placement, registry)
    settings: dict[str, dict[str, object]] = {name: {} for name in kinds}
    rest = []
    for name, text in take_apart(written or ()).items():
        owner = _owner(name, kinds, registry, of_calls=of_calls)
        if owner is None:
            rest.append(f"{name}={text}")
            continue
        option = spelled(name).rpartition(".")[2]
        settings[owner][option] = parse(text, kinds[owner].model_fields[option])
    quantizer: str | Quantizer | None = quantization
    if given := settings.get("quantization"):
        quantizer = cast("Quantizer", kinds["quantization"](**given))
    placed: str | Mapping[str, object] | Placement | None = placement
    if given := settings.get("placement"):
        mapped = {"device_map": dict(placement)} if isinstance(placement, Mapping) else {}
        placed = cast("Placement", kinds["placement"](**mapped, **given))
    memory = read_memory(flags.memory)
    how = LoadSettings(flags.dtype, flags.device, quantizer, placed, memory, flags.runner)
    return LoadOptions(how, tuple(rest))


def read_quantizer(name: str, written: Sequence[str] | None, registry: Registry) -> Quantizer:
    """Return a quantizer with its settings.

    Args:
        name: The quantizer's name.
        written: Each `name=value` of its settings.
        registry: Where it is looked for.

    Raises:
        OptionError: If there is no such quantizer or setting.
    """
    if name == "auto":
        message = "--quantization auto: expected a quantizer's name, such as int8"
        raise OptionError(message, name="quantization", value=name)
    options = read_load_options(LoadFlags(quantization=name), written, registry)
    return find_quantizer(options.settings.quantization or name, registry)


def read_placement(written: str | None) -> str | Mapping[str, object] | None:
    """Return a placement's name, or the device map that a JSON file holds.

    Raises:
        OptionError: If the file does not hold one.
    """
    if written is None or not written.endswith(".json"):
        return written
    try:
        found = json.loads(Path(written).read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{written}: expected a device map in JSON: {error}"
        raise OptionError(message, name="placement", value=written) from None
    if not isinstance(found, dict):
        message = f'{written}: expected a device map such as {{"wte": 0, "h.0": "cpu"}}'
        raise OptionError(message, name="placement", value=written)
    return found


def read_memory(written: str | None) -> str | dict[str | int, str] | None:
    """Return one size, or the sizes of several devices.

    >>> read_memory("2GB"), read_memory("cuda:0=2GB,cpu=8GiB")
    ('2GB', {'cuda:0': '2GB', 'cpu': '8GiB'})
    """
    if written is None or "=" not in written:
        return written
    pairs = [part.partition("=") for part in written.split(",")]
    return {
        int(name) if name.strip().isdecimal() else name.strip(): size.strip()
        for name, _, size in pairs
    }


def _kinds(
    quantization: str | None, placement: str | Mapping[str, object] | None, registry: Registry
) -> dict[str, type[Component]]:
    """Return the classes of the quantizer and placement that are named, by role."""
    kinds: dict[str, type[Component]] = {}
    if quantization is not None and quantization != "auto":
        kinds["quantization"] = type(find_quantizer(quantization, registry))
    if placement is not None:
        kinds["placement"] = type(find_placement(placement, registry))
    return kinds


def _owner(
    name: str, kinds: Mapping[str, type[Component]], registry: Registry, *, of_calls: bool
) -> str | None:
    """Return the role that has a setting; `None` for an option of calls."""
    prefix, _, option = spelled(name).rpartition(".")
    owners = [
        role
        for role, kind in kinds.items()
        if option in kind.model_fields and prefix in ("", kind.name)
    ]
    rivals = [f"{kinds[role].name}.{option}" for role in owners]
    if of_calls and not prefix:
        others = registry.having(option, *CHAIN_ROLES, *NAMED_ROLES)
        rivals += [f"{offer.name}.{option}" for offer in others]
        if option in Settings.model_fields or (others and not owners):
            return None
    if len(rivals) > 1:
        raise OptionError(f"{name} is ambiguous: write {' or '.join(rivals)}", name=name)
    if owners:
        return owners[0]
    if wrong := _wrong(prefix, option, kinds, registry):
        raise OptionError(f"{name} {wrong}", name=name)
    if of_calls:
        return None
    raise OptionError(f"{name} is no setting of loading: {_there_are(kinds)}", name=name)


def _wrong(
    prefix: str, option: str, kinds: Mapping[str, type[Component]], registry: Registry
) -> str:
    """Say who has a setting that none of those who are named has; empty where nobody has."""
    offers = [
        offer
        for offer in registry.having(option, Quantizer, Placement)
        if prefix in ("", offer.name)
    ]
    if not offers:
        return ""
    names = [offer.name.replace("_", "-") for offer in offers]
    flags = {"--quantization" if Quantizer in offer.roles else "--placement" for offer in offers}
    others = f", not of {' or '.join(kind.name for kind in kinds.values())}" if kinds else ""
    one = names[0] if len(names) == 1 else "with one of them"
    return f"is a setting of {listing(names)}{others}: it needs {' or '.join(sorted(flags))} {one}"


def _there_are(kinds: Mapping[str, type[Component]]) -> str:
    """Say which settings there are."""
    if not kinds:
        return "expected one of a quantizer or placement, with --quantization or --placement"
    has = [(kind.name, listing(sorted(kind.model_fields))) for kind in kinds.values()]
    return ", ".join(f"{name} has {fields or 'none'}" for name, fields in has)
