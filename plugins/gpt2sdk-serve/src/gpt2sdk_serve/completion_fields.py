"""The request of `/v1/completions`."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from gpt2sdk_serve.fields import TextFields

PROMPT_SCHEMA: Any = {
    "description": "A text, token ids, or a list of such.",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
                ]
            },
        },
    ],
}


class CompletionFields(TextFields):
    """What `/v1/completions` takes."""

    prompt: Annotated[object, WithJsonSchema(PROMPT_SCHEMA)]
    max_tokens: Annotated[
        int | None, Field(ge=0, description="Tokens to write at most; 0 only with `echo`.")
    ] = None
    best_of: Annotated[
        int | None,
        Field(ge=1, description="Completions of which the `n` likeliest per token are returned."),
    ] = None
    echo: Annotated[bool | None, Field(description="Begin the text with the prompt.")] = None
    logprobs: Annotated[
        int | None,
        Field(ge=0, description="Log-probabilities of the tokens, and of so many likeliest ones."),
    ] = None
    suffix: Annotated[
        str | None, Field(description="Refused: the models do not fill in the middle.")
    ] = None
