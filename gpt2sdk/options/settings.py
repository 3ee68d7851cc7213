"""The options that every call has, whatever components it names."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from gpt2sdk.components.component import Component
from gpt2sdk.components.preset_rules import COUNT_RULE, NEW_TOKENS_RULE

TokenId = Annotated[int, Field(ge=0)]

PER_PROMPT: Final = frozenset({"max_new_tokens", "num_return_sequences", "seed"})
"""Settings that may differ from prompt to prompt."""


def _number(value: object) -> object:
    """Refuse a yes or no, which other programs take: it would be read as a number."""
    if isinstance(value, bool | str):
        message = (
            "is a number: 0 records each token's log-probability, n also the n likeliest tokens "
            "of its step, None nothing"
        )
        raise ValueError(message)  # noqa: TRY004 - pydantic lets a TypeError through
    return value


class Settings(Component):
    """The options of every call; of those in `PER_PROMPT`, one prompt's value."""

    strategy: Annotated[
        object,
        Field(description="How rows grow: a name, a Strategy, or a generator function."),
    ] = "sample"
    max_new_tokens: Annotated[
        int | None,
        NEW_TOKENS_RULE,
        Field(ge=1, description="Most tokens a row grows by; None for 128 or what fits."),
    ] = None
    seed: Annotated[
        int | None,
        Field(description="Where random numbers start; prompt 0 has the seed itself, None draws."),
    ] = None
    num_return_sequences: Annotated[
        int, COUNT_RULE, Field(ge=1, description="Completions of each prompt.")
    ] = 1
    batch_size: Annotated[
        int,
        COUNT_RULE,
        Field(ge=1, description="Rows at a time; prompts, where a strategy compares rows."),
    ] = 32
    eos_token_id: Annotated[
        TokenId | tuple[TokenId, ...] | Literal["model"] | None,
        Field(description='Ids that end a row: "model" for the model\'s own, None for none.'),
    ] = "model"  # noqa: S105 - a token of text
    overflow: Annotated[
        Literal["error", "slide"],
        Field(description="A row that no longer fits: an error before any work, or a window."),
    ] = "error"
    logprobs: Annotated[
        Annotated[int, Field(ge=0)] | None,
        BeforeValidator(_number),
        Field(description="Record log-probabilities, and those of the n likeliest tokens."),
    ] = None
    sampler: Annotated[
        object,
        Field(description="Which token is picked: a name or a Sampler; None for the strategy's."),
    ] = None
    drafter: Annotated[
        object, Field(description="What proposes tokens ahead: a name or a Drafter.")
    ] = None
    processors: Annotated[
        tuple[object, ...],
        Field(description="Processors and callables, kept in this order."),
    ] = ()
    stopping: Annotated[
        tuple[object, ...], Field(description="Stopping criteria and callables.")
    ] = ()
