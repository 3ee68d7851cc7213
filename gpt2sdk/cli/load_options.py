"""How a model is to be loaded, as it is written on the command line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpt2sdk.cli.given_options import parse, take_apart
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.generator.given import spelled
from gpt2sdk.plugins.registry import Registry


def read_quantizer(
    name: str | None, written: Sequence[str] | None, registry: Registry
) -> str | Quantizer | None:
    """Return a quantizer with its settings.

    Args:
        name: The quantizer's name, or `auto`.
        written: Each `name=value` of its settings.
        registry: Where it is looked for.

    Raises:
        OptionError: If there is no such quantizer or setting.
    """
    if not written:
        return name
    if name is None or name == "auto":
        raise OptionError("-o: expected --quantization with a quantizer's name beside its settings")
    kind = registry.find(Quantizer, name)  # type: ignore[type-abstract]
    settings: dict[str, object] = {}
    for setting, text in take_apart(written).items():
        field = kind.model_fields.get(spelled(setting))
        if field is None:
            has = listing(sorted(kind.model_fields)) or "none"
            raise OptionError(
                f"{setting} is no setting of {kind.name}: it has {has}", name=setting, value=text
            )
        settings[spelled(setting)] = parse(text, field)
    return kind(**settings)


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
