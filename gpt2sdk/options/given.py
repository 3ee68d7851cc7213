"""Options as they were written in a call: one value for all its prompts, or one for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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

    Options whose type is a plain number take a bare list as well. Every option of a component can
    differ from prompt to prompt, and so can `max_new_tokens`, `num_return_sequences` and `seed`.

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


class Unread(str):
    """A value as text; the type of its option says what it means."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Given:
    """An option as it was written.

    Attributes:
        written: Its name in the call, `top-p` or `dry.base`.
        value: Its value, or `Unread` text.
        preset: Whether it stands in a preset, which may be a stranger's.
    """

    written: str
    value: object
    preset: bool = field(default=False, repr=False)

    def of(self, value: object) -> "Given":
        """Return this with another value."""
        return replace(self, value=value)


def spelled(option: str) -> str:
    """Return an option's name in its one spelling; a distribution before a colon keeps its own.

    >>> spelled("prompt-lookup.max-ngram"), spelled("gpt2sdk-sampling:top-p.top-p")
    ('prompt_lookup.max_ngram', 'gpt2sdk-sampling:top_p.top_p')
    """
    qualifier, colon, name = option.rpartition(":")
    return f"{qualifier}{colon}{name.replace('-', '_')}"


def read(
    options: Mapping[str, object], preset: Mapping[str, object] | None = None
) -> dict[str, Given]:
    """Return the options of a call by name in its one spelling.

    Args:
        options: What the call gives.
        preset: What counts where the call gives nothing.

    Raises:
        OptionError: An option stands there in both spellings.

    >>> read({"top-p": 0.9})
    {'top_p': Given(written='top-p', value=0.9)}
    """
    given = _read(options)
    if preset:
        given = {**_read(preset, preset=True), **given}
    return given


def _read(options: Mapping[str, object], *, preset: bool = False) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for written, value in options.items():
        one = Given(written, read_each(value), preset)
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
