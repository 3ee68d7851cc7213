"""Fields that requests for text have in common, under OpenAI's names."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

STOP_SCHEMA: Any = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class StreamFields(BaseModel):
    """What a stream has besides text."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: Annotated[
        bool | None, Field(description="Send a last chunk with the usage of the whole request.")
    ] = None
    continuous_usage_stats: Annotated[
        bool | None, Field(description="Send the usage so far with every chunk.")
    ] = None
    include_obfuscation: Annotated[
        bool | None, Field(description="Accepted and ignored: nothing is padded.")
    ] = None


class FormatFields(BaseModel):
    """What form an answer has."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Annotated[
        Literal["text", "json_object", "json_schema"], Field(description="What form it is.")
    ]
    json_schema: Annotated[
        dict[str, Any] | None,
        Field(description="An object whose `schema` is a JSON schema, for `json_schema`."),
    ] = None


class TextFields(BaseModel):
    """What both endpoints that make text take.

    Fields that are no field here are options of installed components, and checked as such.
    """

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())

    model: Annotated[
        str | None, Field(description="A name that `/v1/models` lists; the first by default.")
    ] = None
    n: Annotated[int | None, Field(ge=1, description="Completions of each prompt.")] = None
    temperature: Annotated[
        float | None,
        Field(ge=0, le=100, description="1 by default; below it is safer, and 0 is greedy."),
    ] = None
    top_p: Annotated[
        float | None, Field(gt=0, le=1, description="Draw from the likeliest tokens of this mass.")
    ] = None
    frequency_penalty: Annotated[
        float | None, Field(ge=-2, le=2, description="Taken off a token's logit for each use.")
    ] = None
    presence_penalty: Annotated[
        float | None, Field(ge=-2, le=2, description="Taken off a token's logit once it was used.")
    ] = None
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
        Field(description="Token ids, as strings, and what is added to their logits."),
    ] = None
    stop: Annotated[
        object,
        WithJsonSchema({**STOP_SCHEMA, "description": "Texts before which an answer ends."}),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=-(2**63),
            lt=2**64,
            description="Where random numbers start; drawn and returned where none is given.",
        ),
    ] = None
    stream: Annotated[bool | None, Field(description="Send text as it becomes certain.")] = None
    stream_options: Annotated[
        StreamFields | None, Field(description="What a stream has besides text.")
    ] = None
    response_format: Annotated[
        FormatFields | None,
        Field(description="What form an answer has; forms of JSON need gpt2sdk-guided."),
    ] = None
    timeout: Annotated[
        float | None,
        Field(gt=0, description="Seconds after which it is finished with what there is."),
    ] = None
    return_token_ids: Annotated[
        bool | None, Field(description="Whether token ids are returned beside text.")
    ] = None
    return_record: Annotated[
        bool | None,
        Field(description="Whether the record of the call is returned, which repeats it."),
    ] = None
    gpt2sdk: Annotated[
        dict[str, Any] | None,
        Field(description="Options of any installed component, as a preset has; see `/options`."),
    ] = None
