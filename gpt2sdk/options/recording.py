"""The record of a call, made of what it was composed of."""

import math
from collections.abc import Iterator, Mapping, Sequence

from gpt2sdk.components.call_record import CallRecord, ComponentRecord
from gpt2sdk.components.component import neutral
from gpt2sdk.components.preset_rules import is_caller_only
from gpt2sdk.options.composition import Composition
from gpt2sdk.options.in_force import Acting, acting, column_of, json_ready
from gpt2sdk.plugins.contract import role_name, roles_of
from gpt2sdk.plugins.registry import Registry


def record(
    composition: Composition,
    options: Mapping[str, object],
    registry: Registry,
    *,
    model: Mapping[str, object],
    versions: Mapping[str, str],
    row_seeds: Sequence[int],
) -> CallRecord:
    """Return the record of a call.

    Args:
        composition: What its options came to.
        options: What is in force, by name; JSON-ready.
        registry: All components.
        model: What says which model it is.
        versions: Of what else its result depends on, by distribution.
        row_seeds: The seed of each prompt's rows.
    """
    actors = list(acting(composition.leads, composition.entries, registry))
    settings = ("max_new_tokens", "num_return_sequences", "seed")
    columns = [name for name in settings if isinstance(options.get(name), list)]
    columns += [key for each in actors if len(each.components) > 1 for key in each.keys.values()]
    own = {key: value for key, value in options.items() if key != "versions"}
    found = {**_versions(options), **versions}
    return CallRecord(
        own,
        model,
        tuple(_component(each, registry) for each in actors),
        found,
        tuple(row_seeds),
        tuple(columns),
        dict(_unrepeatable(actors, registry)),
    )


def _versions(options: Mapping[str, object]) -> dict[str, str]:
    versions = options.get("versions")
    return dict(versions) if isinstance(versions, Mapping) else {}


def _component(each: Acting, registry: Registry) -> ComponentRecord:
    kind = type(each.component)
    origin = registry.origin(kind)
    roles = ", ".join(role_name(role) for role in roles_of(kind))
    return ComponentRecord(
        role=each.setting if each.setting == each.place and each.setting else roles,
        name=each.name,
        options={name: column_of(each.components, name) for name in kind.model_fields},
        distribution=origin.distribution if origin else "",
        version=origin.version if origin else "",
        columns=tuple(kind.model_fields) if len(each.components) > 1 else (),
    )


def _unrepeatable(actors: Sequence[Acting], registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the options that a record cannot set, and why."""
    for each in actors:
        if registry.origin(type(each.component)) is None:
            yield each.setting, f"{each.place} is {each.name}, which no installed plugin offers"
            continue
        for option, field in type(each.component).model_fields.items():
            key = each.keys.get(option, each.setting)
            written = each.keys.get(option, f"{each.place}.{option}")
            for component in each.components:
                value = None if component is None else component.recorded(option)
                if value is None or (not field.is_required() and value == neutral(field)):
                    continue
                if not _is_data(value):
                    yield key, f"{written} is {json_ready(value)}, an object of the caller's"
                    break
                if is_caller_only(field):
                    yield key, f"{written} names files or models"
                    break


def _is_data(value: object) -> bool:
    """Whether JSON has a form for a value that gives it back.

    >>> _is_data((1, "a", (0.5, None))), _is_data((len,))
    (True, False)
    """
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)
