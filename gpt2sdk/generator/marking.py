"""The settings that a text was marked with, taken from the record of its call."""

from collections.abc import Mapping

from gpt2sdk.components.call_record import ComponentRecord
from gpt2sdk.components.detector import Detector
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.mention import argument
from gpt2sdk.options import read_preset
from gpt2sdk.plugins.registry import Registry

_KEY = "hashing_key"


def public_key(component: object) -> tuple[str, ...]:
    """Say so where a mark has the key that everybody knows: its default."""
    fields = type(component).model_fields if isinstance(component, Detector) else {}
    if _KEY not in fields or getattr(component, _KEY) != fields[_KEY].default:
        return ()
    own = argument(_KEY)
    return (f"the {_KEY} is the default, which everybody knows: give your own with {own}",)


def as_marked(
    config: object, detector: object, options: Mapping[str, object], registry: Registry
) -> tuple[object, dict[str, object]]:
    """Return which detector is to look, and its options.

    Args:
        config: A record, options as data, or what `--json` prints; `None` for nothing.
        detector: A detector or its name; `None` for the one whose mark the record has.
        options: Those given, which go before.
        registry: Where names are looked up.

    Raises:
        OptionError: No detector is named, or the record has several marks or none; or a mark's
            options differ from prompt to prompt.
    """
    if config is None and detector is None:
        names = sorted({offer.name for offer in registry.offers(Detector)})
        raise OptionError(
            f"which detector? give its name, detector={names[0] if names else '…'!r}, or the "
            f"record of the call, config=result.record; there are {listing(names) or 'none'}",
            name="detector",
        )
    if config is None:
        return detector, dict(options)
    preset = read_preset(config)
    if preset.record is None:
        return _of_options(preset.options, detector, options, registry)
    marks = {
        each.name: each
        for each in preset.record.components
        if "detector" in each.role.split(", ") and detector in {None, each.name, _hyphened(each)}
    }
    if len(marks) != 1:
        asked = "" if detector is None else f" of the detector {detector}"
        raise OptionError(
            f"the record has {'marks of ' + listing(sorted(marks)) if marks else 'no mark'}{asked}"
            f": {'name one of them' if marks else 'give the settings themselves'}",
            name="config",
            value=config,
        )
    ((name, mark),) = marks.items()
    if mark.columns:
        raise OptionError(
            f"the record's {listing(sorted(mark.columns))} differ from prompt to prompt: judge "
            "each text with config=record.for_prompt(index)",
            name="config",
            value=config,
        )
    return name, _merged(name, mark.options, options)


def _of_options(
    found: Mapping[str, object], detector: object, options: Mapping[str, object], registry: Registry
) -> tuple[object, dict[str, object]]:
    """The same of a preset without a record: those of its options that the detector has."""
    if not isinstance(detector, str):
        message = "config has options but no record of a call: name the detector they are for"
        raise OptionError(message, name="detector", value=detector)
    component = registry.find(Detector, detector)
    own = {
        name.removeprefix(f"{component.name}."): value
        for name, value in found.items()
        if name.removeprefix(f"{component.name}.") in component.option_names()
    }
    return detector, _merged(component.name, own, options)


def _merged(
    name: str, found: Mapping[str, object], options: Mapping[str, object]
) -> dict[str, object]:
    """Options of both, where those given go before."""
    taken = {each.replace("-", "_").removeprefix(f"{name}.") for each in options}
    return {**{key: each for key, each in found.items() if key not in taken}, **options}


def _hyphened(each: ComponentRecord) -> str:
    return each.name.replace("_", "-")
