"""The requests of `/tokenize` and `/detokenize`, as vLLM has them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema


class TokenizeFields(BaseModel):
    """What `/tokenize` takes: a text, or the messages of a chat."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())

    model: Annotated[
        str | None, Field(description="A name that `/v1/models` lists; the first by default.")
    ] = None
    prompt: Annotated[str | None, Field(description="A text.")] = None
    messages: Annotated[
        list[dict[str, Any]] | None, Field(description="Or the turns of a chat.")
    ] = None
    add_special_tokens: Annotated[
        bool | None, Field(description="Whether the bos token is added, where the model wants it.")
    ] = None
    allow_special: Annotated[
        bool | None,
        Field(description="Whether special tokens that the text spells out are those tokens."),
    ] = None
    return_token_strs: Annotated[
        bool | None, Field(description="Whether each token's text is returned, too.")
    ] = None
    add_generation_prompt: Annotated[
        bool | None, Field(description="Whether a chat ends with what begins an answer.")
    ] = None


class DetokenizeFields(BaseModel):
    """What `/detokenize` takes."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())

    model: Annotated[
        str | None, Field(description="A name that `/v1/models` lists; the first by default.")
    ] = None
    tokens: Annotated[
        object,
        WithJsonSchema({"type": "array", "items": {"type": "integer", "minimum": 0}}),
    ]
