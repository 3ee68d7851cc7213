"""Options that several components have in common."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shared:
    """Marks an option that means the same in several processors or criteria.

    Such an option is given once, by its short name, for all of them that the call turns on;
    `component.option` sets it for one. It is shared only if every processor and criterion that has
    an option of this name marks it, and gives it the same type and range: any other short name that
    several of them have is refused as ambiguous. It cannot be a component's switch.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import Field
        >>> Window = Annotated[int, Shared(), Field(ge=0, description="Tokens that count.")]
    """
