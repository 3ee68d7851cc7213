"""Options as people read them: a table by role, or all about one component."""

import inspect
import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from gpt2sdk.cli.tables import has_room, heading, indented, show, table
from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.options import OptionRecord, spelled
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.registry import Offer, Registry

_CHOSEN = {
    "detector": "named by `gpt2sdk detect --detector`, and by detector= of Generator.detect",
    "drafter": "named by -o drafter=",
    "placement": "named by --placement, where a model is loaded",
    "quantizer": "named by --quantization, where a model is loaded",
    "runner": "named by --runner, where a model is loaded",
    "sampler": "named by -o sampler=",
    "strategy": "named by --strategy",
}
_NAMED: dict[str, type[Component]] = {"strategy": Strategy, "sampler": Sampler, "drafter": Drafter}


def show_options(records: Sequence[OptionRecord], registry: Registry) -> None:
    """Print all options by role: in a table where there is room, else in two lines each."""
    names = {setting: _names(role, registry) for setting, role in _NAMED.items()}
    parts: list[RenderableType] = []
    for role, own in groupby(sorted(records, key=_place), key=lambda record: record.role):
        title = "every call" if role == "call" else role
        parts += ["", heading(title, names.get(role, ""))]
        if has_room():
            parts.append(table(map(_row, own)))
        else:
            parts += [part for record in own for part in _lines(record)]
    show(*parts[1:])


def show_role(role: str, records: Sequence[OptionRecord], registry: Registry) -> None:
    """Print what has a role, what each of them does, and their options."""
    offers = [each for each in registry.offers() if role in map(role_name, each.roles)]
    where = _CHOSEN.get(role, "")
    if not offers:
        show(heading(role, "none is installed"))
        return
    about = [(offer.name, _summary(offer.component), str(offer.origin)) for offer in offers]
    parts: list[RenderableType] = [heading(role, where), table(about)]
    if records:
        parts += ["", heading("options")]
        parts += (
            [table(map(_row, records))]
            if has_room()
            else [part for record in records for part in _lines(record)]
        )
    show(*parts)


def _summary(component: type[Component]) -> str:
    """Return the first line of what a component does."""
    return inspect.cleandoc(component.__doc__ or "").partition("\n")[0]


def show_details(name: str, records: Sequence[OptionRecord], registry: Registry) -> None:
    """Print what components of this name, or with an option of this name, do and take."""
    show(*list(_details(name, records, registry))[1:])


def values_of(record: OptionRecord) -> str:
    """Say which values an option takes: the range says enough where there is one.

    >>> from gpt2sdk.options import option_records
    >>> from gpt2sdk.plugins.registry import Registry
    >>> [values_of(one) for one in option_records(Registry(discover=False), "batch_size")]
    ['whole number ≥ 1']
    """
    return f"{record.type} {record.range}".strip()


def _place(record: OptionRecord) -> tuple[int, str]:
    """The settings of every call come first, then what calls name, then the rest."""
    first = ("call", *_NAMED)
    return (first.index(record.role) if record.role in first else len(first)), record.role


def _names(role: type[Component], registry: Registry) -> str:
    return ", ".join(dict.fromkeys(offer.name for offer in registry.offers(role)))


def _row(record: OptionRecord) -> list[str | Text]:
    return [_full_name(record), values_of(record), _default(record), record.description]


def _lines(record: OptionRecord) -> list[RenderableType]:
    about = f"  {values_of(record)}, default {_default(record)}"
    return [
        indented(Text.assemble(_full_name(record), (about, "dim")), 2),
        indented(record.description, 6),
    ]


def _full_name(record: OptionRecord) -> Text:
    """Return `component.option`, or one name where both are the same."""
    prefix = "" if record.component in ("", record.name) else f"{record.component}."
    return Text.assemble((prefix, "dim"), record.name)


def _default(record: OptionRecord) -> str:
    return "required" if record.required else json.dumps(record.default, ensure_ascii=False)


def _details(
    name: str, records: Sequence[OptionRecord], registry: Registry
) -> Iterator[RenderableType]:
    for record in records:
        if not record.component:
            yield ""
            yield heading(record.name, "every call")
            role = _NAMED.get(record.name)
            yield from _option(record, _names(role, registry) if role else "")
    for offer in _owners(name, records, registry):
        yield ""
        yield heading(offer.name, f"{', '.join(map(role_name, offer.roles))}, {offer.origin}")
        yield from _docstring(offer.component)
        for record in records:
            if record.component == offer.name and record.distribution == offer.origin.distribution:
                yield ""
                yield Text(record.name)
                yield from _option(record)


def _owners(name: str, records: Sequence[OptionRecord], registry: Registry) -> list[Offer]:
    """Return the components that are asked about."""
    wanted = spelled(name)
    having = {(record.component, record.distribution) for record in records}
    return [
        offer
        for offer in registry.offers()
        if offer.name == wanted or (offer.name, offer.origin.distribution) in having
    ]


def _docstring(component: type[Component]) -> Iterator[RenderableType]:
    if component.__doc__:
        yield Text(inspect.cleandoc(component.__doc__))


def _option(record: OptionRecord, names: str = "") -> list[RenderableType]:
    about = [["values", values_of(record)], ["default", _default(record)]]
    if names:
        about.append(["names", names])
    if record.switch:
        about.append(["", "any other value turns the component on"])
    if record.per_prompt:
        about.append(["", "may differ from prompt to prompt"])
    return [indented(record.description, 2), table(about)]
