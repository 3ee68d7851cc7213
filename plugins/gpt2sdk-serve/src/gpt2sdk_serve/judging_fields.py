"""The requests of `/v1/decisions` and `/v1/scores`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gpt2sdk_serve.completion_fields import PROMPT_SCHEMA

_MODEL = "A name that `/v1/models` lists; the first by default."


class DecisionFields(BaseModel):
    """What `/v1/decisions` takes."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())

    model: Annotated[str | None, Field(description=_MODEL)] = None
    prompt: Annotated[object, WithJsonSchema(PROMPT_SCHEMA)]
    options: Annotated[
        list[str | list[int] | list[str | list[int]]],
        Field(
            min_length=1,
            description="What may follow, as texts or token ids: one list for all prompts, or one "
            "for each.",
        ),
    ]
    normalization: Annotated[
        Literal["sum", "token", "byte"],
        Field(description="What is compared: whole log-probabilities, or per token or byte."),
    ] = "sum"


class ScoreFields(BaseModel):
    """What `/v1/scores` takes."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())

    model: Annotated[str | None, Field(description=_MODEL)] = None
    text: Annotated[object, WithJsonSchema(PROMPT_SCHEMA)]
    context: Annotated[
        str | None, Field(description="What stands before the texts, and is not scored.")
    ] = None
    bos: Annotated[
        bool, Field(description="Whether the bos token, if there is one, stands before each text.")
    ] = True
    top: Annotated[
        int, Field(ge=0, description="How many of the likeliest tokens to name in each place.")
    ] = 0
