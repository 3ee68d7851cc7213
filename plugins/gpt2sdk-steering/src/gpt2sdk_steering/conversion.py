"""What may stand where a potential is wanted."""

import inspect
from typing import Annotated

from pydantic import BeforeValidator, Field

from gpt2sdk import LogitsProcessor, OptionError
from gpt2sdk_steering.potential import Potential
from gpt2sdk_steering.processor_potential import ProcessorPotential
from gpt2sdk_steering.text_potential import TextPotential


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
    if isinstance(thing, Potential):
        return thing
    if isinstance(thing, LogitsProcessor):
        return ProcessorPotential(thing)
    if callable(thing) and not inspect.isclass(thing) and _takes_a_text(thing):
        return TextPotential(thing, thing)
    got = f"the class {thing.__name__}" if inspect.isclass(thing) else repr(thing)
    message = (
        f"a potential is a Potential, a function from a text to a log weight, or a logits "
        f"processor; got {got}"
    )
    raise OptionError(message, name="potential", value=thing, expected="a potential")


def _takes_a_text(function: object) -> bool:
    """Whether a callable takes one positional argument; yes, where nobody can tell."""
    try:
        inspect.signature(function).bind("")  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _converted(thing: object) -> Potential | None:
    return None if thing is None else as_potential(thing)


PotentialOption = Annotated[
    Potential | None,
    BeforeValidator(_converted),
    Field(
        description="Log weights of texts: a Potential, a function of a text, or a processor; "
        "none weighs all alike."
    ),
]
