"""JSON schemas: the text is a JSON value of a given shape."""

import json
from collections.abc import Mapping
from typing import Annotated

from llguidance import LLMatcher
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from typing_extensions import override

from gpt2sdk import GRAMMAR_RULE, Completion, OptionError
from gpt2sdk_guided.bounds import Bounds
from gpt2sdk_guided.choice import behind
from gpt2sdk_guided.constraint import MOST_CHARACTERS, Constraint, Trigger
from gpt2sdk_guided.files import text_of
from gpt2sdk_guided.references import References


def _readable(schema: object) -> object:
    """Refuse a text that is too long, or no JSON."""
    if isinstance(schema, str):
        if len(schema) > MOST_CHARACTERS:
            raise ValueError(f"has {len(schema)} characters, expected {MOST_CHARACTERS} at most")
        try:
            loaded = json.loads(schema)
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        except ValueError as error:
            hint = "of a file, give a pathlib.Path, or what stands in it: on the command line "
            hint += 'json_schema="$(cat FILE)"'
            raise ValueError(f"is no JSON: {error}; {hint}") from None
        if not isinstance(loaded, dict | bool):
            raise ValueError("is no schema: expected a JSON object")  # noqa: TRY004 - pydantic wants it
    elif schema is not None and not _is_model(schema):
        kinds = "a dict, JSON text, a pathlib.Path or a pydantic model"
        raise ValueError(f"is no schema: expected {kinds}")
    return schema


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


class JsonSchema(Constraint):
    r"""Lets a row write only JSON that fits a schema, and brings it to an end.

    A schema is a dict, JSON text, a `pathlib.Path` of a file, or a pydantic model; `{}` is any
    JSON. Keys come in the order of the schema. What was read is `completion.parsed`: the value, or
    the model's object; `None` where the text is cut, or validators of the model refuse it.

    What a schema leaves open, a weak model may never end. So by default no whitespace is written,
    and strings, arrays, numbers, free objects and recursion are bounded; each bound narrows the
    schema, so that a text still fits it as it was. `None` lifts a bound, where the schema has one
    of its own that one counts, and where a bound would leave nothing it gives way. An object that
    names properties gets no others, unless it says `additionalProperties`: then up to
    `json_max_items` others come behind all that are named. Parts of an `allOf` hold together, and
    what stands beside a `$ref` does.

    `not`, `if`, `uniqueItems`, look-around in patterns and unknown formats are refused, and a
    `oneOf` of which several parts may fit.
    llama.cpp's and sglang's `json_schema`, vLLM's `json`: there whitespace and strings have no
    bound by default.

    A record has a pydantic model as its JSON schema: a call repeated from it writes the same text,
    and `parsed` is the plain value.

    Schemas become grammars: Geng et al., 2023, arXiv:2305.13971; how many real ones engines follow:
    "JSONSchemaBench", Geng et al., 2025, arXiv:2501.10868.

    Raises:
        OptionError: It is no schema, or in a call: it cannot be followed, or is too large.

    Example:
        >>> from gpt2sdk.testing import tiny_tokenizer
        >>> schema = JsonSchema(json_schema={"type": "integer"}, json_digits=3)
        >>> schema.bounded()
        {'type': 'integer', 'minimum': -999, 'maximum': 999}
    """

    json_schema: Annotated[
        str | type[BaseModel] | None,
        BeforeValidator(_readable),
        BeforeValidator(text_of),
        GRAMMAR_RULE,
        Field(description="Schema: dict, JSON text, Path or pydantic model; None is off."),
    ] = None
    json_max_whitespace: Annotated[
        int | None,
        Field(ge=0, le=1000, description="Most blanks and breaks in a row; None for any."),
    ] = 0
    json_max_length: Annotated[
        int | None,
        Field(ge=0, le=100_000, description="Most characters of an open string; None for any."),
    ] = 64
    json_max_items: Annotated[
        int | None,
        Field(ge=0, le=10_000, description="Most items of an open array, or keys; None for any."),
    ] = 4
    json_digits: Annotated[
        int | None,
        Field(ge=1, le=15, description="Most digits of an open number; None for any."),
    ] = 9
    json_max_depth: Annotated[
        int, Field(ge=0, le=16, description="How often a definition stands inside itself.")
    ] = 2
    grammar_triggers: Trigger = ()

    @model_validator(mode="before")
    @classmethod
    def _write_schema(cls, fields: object) -> object:
        """Write a schema that is data as text, before its lists become tuples."""
        if not isinstance(fields, Mapping) or not isinstance(
            given := fields.get("json_schema"), Mapping | bool
        ):
            return fields
        try:
            return {**fields, "json_schema": json.dumps(given)}
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"has what JSON does not: {error}") from None

    @property
    @override
    def triggers(self) -> tuple[str, ...]:
        return self.grammar_triggers

    @override
    def recorded(self, option: str) -> object:
        """Return a pydantic model as the JSON of its schema: what it does to a text."""
        if option == "json_schema" and _is_model(self.json_schema):
            return json.dumps(self.schema_given())
        return super().recorded(option)

    def schema_given(self) -> object:
        """The schema as it was given."""
        if _is_model(self.json_schema):
            return self.json_schema.model_json_schema()  # type: ignore[union-attr]
        return json.loads(str(self.json_schema))

    def bounded(self) -> object:
        """The schema with bounds, as it is followed.

        Raises:
            OptionError: A reference leads nowhere, it gets too large, or nothing fits it.
        """
        schema = self.schema_given()
        depth = self.json_max_depth
        bounds = Bounds(self.json_max_length, self.json_max_items, self.json_digits, depth)
        try:
            made = bounds.put(References(schema, depth).replaced())
            wrong = "leaves nothing to write" if made is False else ""
        except ValueError as error:
            wrong = str(error)
        except RecursionError:
            wrong = "is nested too deeply"
        if wrong:
            raise OptionError(
                f"json_schema {wrong}", name="json_schema", value=self.json_schema
            ) from None
        return made

    @override
    def source(self) -> str:
        most = self.json_max_whitespace
        blanks: dict[str, object] = {"whitespace_flexible": most != 0}
        if most:
            blanks["whitespace_pattern"] = rf"[\x20\x0A\x0D\x09]{{1,{most}}}"
        return LLMatcher.grammar_from_json_schema(json.dumps(self.bounded()), overrides=blanks)  # type: ignore[arg-type]

    @override
    def parse(self, completion: Completion) -> object:
        text = behind(completion.text, self.triggers)
        if self.json_schema is None or text is None:
            return None
        try:
            if _is_model(self.json_schema):
                return self.json_schema.model_validate_json(text)  # type: ignore[union-attr]
            return json.loads(text)
        except (ValidationError, ValueError):
            return None
