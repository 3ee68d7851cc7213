"""Fields of OpenAI's requests that change nothing here, and those that would and cannot."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel

from gpt2sdk_serve.problem import RequestError

HARMLESS: Final = frozenset(
    {
        "metadata",
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""What is accepted and ignored: it is about billing, storing and caching."""

NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = {
    "audio": (None,),
    "function_call": (None, "none", "auto"),
    "functions": (None, []),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": (None, True, False),
    "prediction": (None,),
    "reasoning_effort": (None, "none"),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
"""What is accepted with these values alone: any other would change the answer."""


def options_among(extra: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return those fields that are no fields of a request, and so have to be options.

    Raises:
        RequestError: One is a field of OpenAI's that would change the answer and cannot here, or
            is spelled nearly like a field of the request.
    """
    options = {}
    for name, value in extra.items():
        if name in HARMLESS:
            continue
        if name in NEUTRAL:
            check_neutral(name, value)
            continue
        if near := get_close_matches(name, model.model_fields, 1, 0.85):
            message = f"there is no field {name:.60}: did you mean {near[0]}?"
            raise RequestError(message, param=name, code="unknown_field")
        options[name] = value
    return options


def check_neutral(name: str, value: object) -> None:
    """Refuse a value that would change the answer.

    Raises:
        RequestError: It is one.
    """
    if value not in NEUTRAL[name]:
        message = f"{name} is {value!r:.60}, which these models cannot do: leave it out"
        raise RequestError(message, param=name, code="unsupported")
