"""The context window, as caches of any kind keep to it."""

from collections.abc import Sequence

from gpt2sdk.errors import ContextOverflowError


def check_window(lengths: Sequence[int], counts: Sequence[int], limit: int) -> None:
    """Make sure that so many more tokens fit into each slot.

    Args:
        lengths: How many tokens each slot holds.
        counts: How many more each is fed.
        limit: The window.

    Raises:
        ContextOverflowError: If a slot would hold more than the context window.
    """
    for slot, (held, count) in enumerate(zip(lengths, counts, strict=True)):
        if held + count > limit:
            raise ContextOverflowError(
                f"slot {slot} holds {held} tokens and was fed {count} more, but the context "
                f"window is {limit}: feed fewer, or rewind it",
                prompt_tokens=held + count,
                limit=limit,
            )
