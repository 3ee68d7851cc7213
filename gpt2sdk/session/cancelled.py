"""How a call that was cancelled comes to its end."""


class Cancelled(Exception):  # noqa: N818 - not an error: the caller asked for it
    """Raised through the strategy when the call was cancelled."""
