"""What is wrong with a request, or went wrong, as OpenAI's clients are told of it."""

from collections.abc import Mapping
from typing import Any, Literal

from gpt2sdk import (
    ContextOverflowError,
    GenerationError,
    GPT2SDKError,
    OptionError,
    PluginConflictError,
    TokenizerError,
)
from gpt2sdk_serve.json_answer import JSONAnswer

Kind = Literal[
    "invalid_request_error",
    "authentication_error",
    "not_found_error",
    "rate_limit_error",
    "server_error",
]
"""What sort of error it is, in OpenAI's words."""

_MISTAKES = (OptionError, ContextOverflowError, TokenizerError, PluginConflictError)

_FIELDS: Mapping[str | None, str] = {"max_new_tokens": "max_tokens", "num_return_sequences": "n"}
"""What options are called in a request."""


class RequestError(Exception):
    """What a request is answered with in place of what it asked for.

    Attributes:
        status: The HTTP status.
        kind: What sort of error it is.
        param: Which field of the request is wrong, if one is.
        code: A word for programs.
        retry_after: Seconds after which it may be tried again; `None` where that is no use.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: Kind = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return what is sent.

        >>> RequestError("n is 0, expected 1 or more", param="n").body()["error"]["param"]
        'n'
        """
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self, headers: Mapping[str, str] | None = None) -> JSONAnswer:
        """Return the answer; clients are told whether to try again."""
        again = self.retry_after is not None
        told = {"x-should-retry": "true" if again else "false", **(headers or {})}
        if again:
            told["Retry-After"] = str(self.retry_after)
        return JSONAnswer(self.body(), self.status, told)


def problem_of(error: Exception) -> RequestError:
    """Return what a client is told of something that was raised.

    Mistakes of a request are 400, what a component raises is 500; neither is worth a second try.
    What nobody expected is not told: it could hold anything.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ContextOverflowError):
        return RequestError(str(error), param="prompt", code="context_length_exceeded")
    if isinstance(error, _MISTAKES):
        name = getattr(error, "name", "") or None
        return RequestError(str(error), param=_FIELDS.get(name, name))
    if isinstance(error, GPT2SDKError):
        code = "component_failed" if isinstance(error, GenerationError) else None
        return RequestError(str(error), status=500, kind="server_error", code=code)
    message = "something went wrong in the server; its log says what"
    return RequestError(message, status=500, kind="server_error", code="internal_error")
