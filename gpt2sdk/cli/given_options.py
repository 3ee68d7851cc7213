"""Options as they are written on the command line."""

from collections.abc import Mapping, Sequence

from gpt2sdk.errors import OptionError
from gpt2sdk.options import Unread, spelled


def read_options(written: Sequence[str] | None, flags: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a call by name; their types say later what the texts mean.

    Args:
        written: Each `name=value`, as `-o` has it.
        flags: Options that have flags of their own; `None` for a flag that was not given.

    Raises:
        OptionError: One is not written like that, or is there twice.
    """
    options = {name: value for name, value in flags.items() if value is not None}
    texts = take_apart(written or (), list(options))
    return {**options, **{name: Unread(text) for name, text in texts.items()}}


def take_apart(written: Sequence[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Take names and values apart.

    Args:
        written: Each `name=value`.
        taken: Names that were given otherwise.

    Raises:
        OptionError: One is not written like that, or is there twice.
    """
    texts: dict[str, str] = {}
    names = set(taken)
    for one in written:
        name, sign, text = one.partition("=")
        if not (name and sign):
            raise OptionError(f"-o {one}: expected name=value", name=name, value=one)
        if spelled(name) in names:
            raise OptionError(
                f'{name} is given twice: expected one value (a list is one: ["a", "b"])',
                name=name,
                value=text,
            )
        names.add(spelled(name))
        texts[name] = text
    return texts
