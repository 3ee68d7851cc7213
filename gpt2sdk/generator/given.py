"""Options as they were written in a call."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpt2sdk.errors import OptionError
from gpt2sdk.generator.each import read_each


@dataclass(frozen=True, slots=True)
class Given:
    """An option as it was written.

    Attributes:
        written: Its name in the call, `top-p` or `dry.base`.
        value: Its value.
    """

    written: str
    value: object


def spelled(option: str) -> str:
    """Return an option's name in its one spelling; a distribution before a colon keeps its own.

    >>> spelled("prompt-lookup.max-ngram"), spelled("gpt2sdk-sampling:top-p.top-p")
    ('prompt_lookup.max_ngram', 'gpt2sdk-sampling:top_p.top_p')
    """
    qualifier, colon, name = option.rpartition(":")
    return f"{qualifier}{colon}{name.replace('-', '_')}"


def read(options: Mapping[str, object]) -> dict[str, Given]:
    """Return the options of a call by name in its one spelling.

    Raises:
        OptionError: An option stands there in both spellings.

    >>> read({"top-p": 0.9})
    {'top_p': Given(written='top-p', value=0.9)}
    """
    given: dict[str, Given] = {}
    for written, value in options.items():
        one = Given(written, read_each(value))
        if given.setdefault(spelled(written), one) is not one:
            raise twice(given[spelled(written)], one)
    return given


def twice(first: Given, second: Given) -> OptionError:
    """The error for one option in two spellings."""
    return OptionError(
        f"{first.written} and {second.written} are the same option: give one",
        name=second.written,
        value=second.value,
    )
