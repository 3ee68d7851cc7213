"""What a request asks of a call: its fields and its own options, as one preset."""

import secrets
from collections.abc import Mapping, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from gpt2sdk import Drafter, Explanation, Generator, LogitsProcessor, Sampler, Strategy
from gpt2sdk_serve.fields import FormatFields, TextFields
from gpt2sdk_serve.ignored_fields import options_among
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.settings import ServeSettings

_SAME_NAME: Final = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "stop",
)
_NEUTRAL: Final[Mapping[str, object]] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "logit_bias": {},
    "stop": [],
}
_OWN: Final[Mapping[str, str]] = {
    "max_new_tokens": "max_tokens",
    "num_return_sequences": "n",
    "logprobs": "logprobs",
    "batch_size": "",
}
_SEEDS = 2**53
"""Seeds that are drawn: what every JSON reader takes for a whole number."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a call is given.

    Attributes:
        preset: Its options, as data.
        seed: Where its random numbers start.
        count: Completions of each prompt.
        rows: Rows of each prompt at a time: completions, or beams, particles and the like.
    """

    preset: Mapping[str, object]
    seed: int
    count: int
    rows: tuple[int, ...]


def read_options(
    fields: TextFields,
    generator: Generator,
    settings: ServeSettings,
    own: Mapping[str, object],
    prompts: int = 1,
) -> CallOptions:
    """Bring the fields of a request and its options together.

    Args:
        fields: The request.
        generator: What will run it.
        settings: What the server allows.
        own: What its endpoint decides: `max_new_tokens`, `num_return_sequences`, `logprobs`.
        prompts: How many prompts there are.

    Raises:
        RequestError: An option is given twice, or is more than the server allows.
        OptionError: An option is wrong.
    """
    named = {name: getattr(fields, name) for name in _SAME_NAME}
    given = {
        name: value
        for name, value in named.items()
        if value is not None and not _is_neutral(name, value)
    }
    # What asks for nothing says so: the server's own value does not count then.
    said = {name for name, value in named.items() if value is not None}
    if fields.response_format is not None:
        given |= _form(fields.response_format)
        said.add("json_schema")
    for more in (options_among(fields.model_extra or {}, type(fields)), fields.gpt2sdk or {}):
        _check_names(more, given, named)
        given |= more
    if _is_cold(given, settings.preset, generator):
        del given["temperature"]
    preset = _over(settings.preset, given, said, generator)
    seed = secrets.randbelow(_SEEDS) if fields.seed is None else fields.seed
    if "seed" in preset:
        drawn = preset.pop("seed")
        drawn = int(drawn) if isinstance(drawn, str) and drawn.isdecimal() else drawn
        if type(drawn) is not int:
            raise RequestError(f"seed is {drawn!r:.60}, expected a whole number", param="seed")
        seed = drawn if fields.seed is None else seed
    count = own.get("num_return_sequences")
    count = count if isinstance(count, int) else 1
    _check_rows(count * prompts, settings.max_rows)
    preset |= {**own, "seed": seed}
    call = generator.explain(config=preset, prompts=prompts)
    _check_biases(call, generator, settings)
    rows = _rows(call, prompts)
    _check_rows(sum(rows), settings.max_rows)
    return CallOptions(preset, seed, count, rows)


def _check_rows(rows: int, most: int) -> None:
    """Refuse more rows than the server allows.

    Raises:
        RequestError: There are more.
    """
    if rows > most:
        message = f"the request asks for {rows} rows, expected {most} at most"
        raise RequestError(f"{message}: prompts times completions or beams", param="n")


def _is_neutral(name: str, value: object) -> bool:
    """Whether a value is what OpenAI's clients send where they want nothing."""
    return bool(value == _NEUTRAL[name]) and not isinstance(value, bool)


def _check_names(
    more: Mapping[str, Any], given: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    """Refuse what stands in a request twice, or is said by a field.

    Raises:
        RequestError: It does.
    """
    for name in more:
        plain = _plain(name)
        if field := _OWN.get(plain):
            message = f"{name} is the field {field}: give that one"
            raise RequestError(message, param=name)
        if plain in _OWN:
            raise RequestError(f"{name} is the server's to decide: leave it out", param=name)
        if plain in given or fields.get(plain) is not None:
            raise RequestError(f"{name} is given twice: give it once", param=name)


def _form(asked: FormatFields) -> dict[str, object]:
    """Return the option that gives an answer its form.

    Raises:
        RequestError: There is no schema.
    """
    if asked.type == "text":
        return {}
    if asked.type == "json_object":
        return {"json_schema": {"type": "object"}}
    schema = (asked.json_schema or {}).get("schema")
    if not isinstance(schema, dict):
        message = "response_format.json_schema has no schema: expected a JSON schema there"
        raise RequestError(message, param="response_format")
    return {"json_schema": schema}


def _strategy(options: Mapping[str, object], generator: Generator) -> type[Strategy] | None:
    """Return the strategy that options name; `None` where they name none."""
    name = options.get("strategy")
    return generator.registry.find(Strategy, name) if isinstance(name, str) else None


def _is_cold(
    given: Mapping[str, object], usual: Mapping[str, object], generator: Generator
) -> bool:
    """Whether a temperature of 0 says what the strategy does anyway: it draws nothing."""
    strategy = _strategy(given, generator) or _strategy(usual, generator)
    return given.get("temperature") == 0 and strategy is not None and not strategy.draws


def _over(
    usual: Mapping[str, object],
    given: Mapping[str, object],
    said: AbstractSet[str],
    generator: Generator,
) -> dict[str, object]:
    """Put the options of a request over those of the server.

    Where it names another strategy, sampler or drafter, the options of the server's go with it.
    """
    over = {*map(_plain, given), *said}
    kept = {
        name: value
        for name, value in usual.items()
        if _plain(name) not in over and _plain(name).rpartition(".")[2] not in said
    }
    for role, setting in ((Strategy, "strategy"), (Sampler, "sampler"), (Drafter, "drafter")):
        name = usual.get(setting)
        if setting not in given or given[setting] == name or not isinstance(name, str):
            continue
        for offer in generator.registry.named(name, role):
            fields = offer.component.model_fields
            kept = {each: value for each, value in kept.items() if each not in fields}
    return {**kept, **given}


def _plain(name: str) -> str:
    """Return an option's name in one spelling.

    >>> _plain("no-repeat-ngram-size")
    'no_repeat_ngram_size'
    """
    return name.replace("-", "_")


def _rows(call: Explanation, prompts: int) -> tuple[int, ...]:
    """Return how many rows each prompt has at a time, by what its strategy says."""
    leads = map(call.composition.lead_of, range(prompts))
    return tuple(lead.strategy.rows_per_prompt(lead.num_return_sequences) for lead in leads)


def _check_biases(call: Explanation, generator: Generator, settings: ServeSettings) -> None:
    """Refuse more biases than the server allows, wherever a request has them.

    Raises:
        RequestError: There are more; the server's own are not asked.
    """
    found = _biases(call)
    if found <= settings.max_biases:
        return
    if settings.preset and found <= _biases(generator.explain(config=settings.preset)):
        return
    message = (
        f"logit_bias and the like have {found} entries, expected {settings.max_biases} at most"
    )
    raise RequestError(message, param="logit_bias")


def _biases(call: Explanation) -> int:
    """Return how many biases a prompt's rows have."""
    return sum(
        max(_entries(each) for each in entry.components if each is not None)
        for entry in call.composition.processors
    )


def _entries(processor: LogitsProcessor) -> int:
    biases = [value for name, value in processor if name.endswith("_bias")]
    return sum(len(value) for value in biases if isinstance(value, Sized))
