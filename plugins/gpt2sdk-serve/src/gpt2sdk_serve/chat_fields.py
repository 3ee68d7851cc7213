"""The request of `/v1/chat/completions`."""

from typing import Annotated, Any

from pydantic import Field

from gpt2sdk_serve.fields import TextFields


class ChatFields(TextFields):
    """What `/v1/chat/completions` takes."""

    messages: Annotated[
        list[dict[str, Any]],
        Field(min_length=1, description="The turns so far, each with its `role` and `content`."),
    ]
    max_tokens: Annotated[
        int | None, Field(ge=1, description="The older name of `max_completion_tokens`.")
    ] = None
    max_completion_tokens: Annotated[
        int | None, Field(ge=1, description="Tokens to write at most; what fits by default.")
    ] = None
    logprobs: Annotated[
        bool | None, Field(description="Whether log-probabilities of the tokens are returned.")
    ] = None
    top_logprobs: Annotated[
        int | None, Field(ge=0, description="And of so many likeliest ones; with `logprobs`.")
    ] = None
    tools: Annotated[
        list[dict[str, Any]] | None,
        Field(description="JSON schemas of functions, for templates that tell of them."),
    ] = None
    tool_choice: Annotated[
        object, Field(description="`none` or `auto`: an answer is text in either case.")
    ] = None
    documents: Annotated[
        list[dict[str, Any]] | None, Field(description="Texts to answer from, likewise.")
    ] = None
    chat_template_kwargs: Annotated[
        dict[str, Any] | None, Field(description="What else the model's template reads.")
    ] = None
    add_generation_prompt: Annotated[
        bool | None, Field(description="Whether the prompt ends with what begins an answer.")
    ] = None
    continue_final_message: Annotated[
        bool | None, Field(description="Whether the answer goes on with the last message.")
    ] = None
