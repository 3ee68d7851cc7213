"""What may stand where a potential is wanted."""

import inspect
from typing import Annotated

from pydantic import BeforeValidator, Field

from gpt2sdk import LogitsProcessor, OptionError
from gpt2sdk_steering.potential import Potential
from gpt2sdk_steering.processor_potential import ProcessorPotential
from gpt2sdk_steering.text_potential import TextPotential

_EXPECTED = "a Potential, a function from a text to a log weight, or a logits processor"


def as_potential(thing: object) -> Potential:
    """Return a potential as it is, and a function or processor as one.

    A function of a text gives log weights of finished and unfinished ones alike: what a prefix is
    worth, and a text that ends. So a scorer of texts is a potential, and `as_potential(f) ** 3`
    one that counts more. A processor becomes a `ProcessorPotential`.

    Raises:
        OptionError: It is none of these.

    >>> as_potential(len)
    TextPotential(whole=<built-in function len>, part=<built-in function len>)
    """
    try:
        return converted(thing)
    except ValueError:
        got = f"the class {thing.__name__}" if inspect.isclass(thing) else repr(thing)
        message = f"a potential is {_EXPECTED}; got {got}"
        raise OptionError(message, value=thing, expected=_EXPECTED) from None


def converted(thing: object) -> Potential:
    """Do as `as_potential` does, as the validator of an option.

    Raises:
        ValueError: It is nothing that a potential can be made of.
    """
    if isinstance(thing, Potential):
        return thing
    if isinstance(thing, LogitsProcessor):
        return ProcessorPotential(thing)
    if callable(thing) and not inspect.isclass(thing) and _takes_a_text(thing):
        return TextPotential(thing, thing)
    message = f"should be {_EXPECTED}"
    if isinstance(thing, str):
        message += "; a component of this name is set by its own options, besides"
    raise ValueError(message)


def _takes_a_text(function: object) -> bool:
    """Whether a callable takes one positional argument; yes, where nobody can tell."""
    try:
        inspect.signature(function).bind("")  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:
        return True
    return True


PotentialOption = Annotated[
    Potential | None,
    BeforeValidator(lambda thing: None if thing is None else converted(thing)),
    Field(
        description="Log weights of texts: a Potential, a function of a text, or a processor; "
        "none weighs all alike."
    ),
]
