"""Why an answer ended, in OpenAI's words."""

from typing import Final

_CUT: Final = frozenset(
    {"length", "max_time", "cancelled", "constraint_incomplete", "timeout", "shutdown"}
)


def finish_reason(reason: str | None) -> str | None:
    """Return `stop` where an answer is complete and `length` where it was cut off.

    >>> finish_reason("end_token"), finish_reason("max_time"), finish_reason(None)
    ('stop', 'length', None)
    """
    if reason is None:
        return None
    return "length" if reason in _CUT else "stop"
