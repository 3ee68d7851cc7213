"""One value of an option for each prompt of a call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpt2sdk.errors import OptionError


@dataclass(frozen=True, slots=True)
class Each:
    """What `each` makes: values of one option, in the order of the prompts.

    Attributes:
        values: One for each prompt; `None` for the option's default.
    """

    values: tuple[object, ...]

    def checked(self, option: str, prompts: int) -> "Each":
        """Return this if there is one value for each prompt.

        Raises:
            OptionError: There are more or fewer.
        """
        if len(self.values) == prompts:
            return self
        values = f"{len(self.values)} value{'s' * (len(self.values) != 1)}"
        expected = f"{prompts} prompt{'s' * (prompts != 1)}"
        raise OptionError(
            f"{option} has {values} for {expected}: give one for each",
            name=option,
            value=self.values,
            expected=f"one value for each of {expected}",
        )


def each(values: Iterable[object]) -> Each:
    r"""Give each prompt of a call its own value of an option.

    Options whose type is a plain number take a bare list as well. Options of processors and
    stopping criteria can differ from prompt to prompt, and so can `max_new_tokens` and `seed`.

    Args:
        values: One for each prompt; `None` for the option's default, so that for the option that
            turns a component on the prompt does without.

    >>> each([["\n"], None]).values
    (['\n'], None)
    """
    return Each(tuple(values))


def read_each(value: object) -> object:
    """Turn `{"each": […]}`, which is how JSON says it, into what `each` makes.

    >>> read_each({"each": [1, 2]})
    Each(values=(1, 2))
    """
    if isinstance(value, Mapping) and value.keys() == {"each"}:
        values = value["each"]
        if isinstance(values, list | tuple):
            return Each(tuple(values))
    return value
