"""The folder of a new plugin: what its files are, filled in with a name, and written at once."""

import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from gpt2sdk import __version__
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.registry import default_registry

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PREFIX = "gpt2sdk_"
_BASES = (LogitsProcessor, Sampler, StoppingCriterion, Strategy, Drafter)
_LONGEST = 24
"""Letters of a name: so many that no line of a template gets longer than 100."""


@dataclass(frozen=True, slots=True)
class PluginRole:
    """What a new plugin can begin with.

    Attributes:
        title: What the role is called in a sentence.
        summary: What the first component does.
        usage: How it is used by name, as Markdown.
        option: Its option, with `{}` for the plugin's name.
        default: That option's default.
        about: What the option is.
        is_function: Whether the component is a function, as strategies are.
    """

    title: str
    summary: str
    usage: str
    option: str
    default: str
    about: str
    is_function: bool = False


ROLES: Mapping[str, PluginRole] = {
    "processor": PluginRole(
        "logits processor",
        "It makes the token that was said last less likely.",
        "Installed, it is an option of every call: `{}=1.0`, or `-o {}=1.0`.",
        "{}",
        "0.0",
        "nats taken from the last token's logit; 0 is off",
    ),
    "sampler": PluginRole(
        "sampler",
        "It takes the best token with some probability, and draws otherwise.",
        'Installed, it is a name: `sampler="{}"`, or `-o sampler={}`.',
        "{}_best",
        "0.5",
        "probability of taking the best token",
    ),
    "criterion": PluginRole(
        "stopping criterion",
        "It ends a row whose last tokens are one and the same.",
        "Installed, it is an option of every call: `{}=3`, or `-o {}=3`.",
        "{}",
        "0",
        "how many equal tokens end a row; 0 is off",
    ),
    "strategy": PluginRole(
        "strategy",
        "It takes the best token where that is likely enough, and draws elsewhere.",
        'Installed, it is a name: `strategy="{}"`, or `--strategy {}`.',
        "{}_sure",
        "0.5",
        "probability from which on the best token is taken",
        is_function=True,
    ),
    "drafter": PluginRole(
        "drafter",
        "It proposes that the last tokens come once more.",
        'Installed, it is a name: `drafter="{}"`, or `-o drafter={}`.',
        "{}_period",
        "1",
        "how many last tokens come again",
    ),
}
"""What there is a beginning for, by the word that the command line has for it."""


def plain_name(name: str) -> str:
    """Return the name of a plugin as Python spells it, without `gpt2sdk` before it.

    >>> plain_name("gpt2sdk-no-doubles"), plain_name("fatigue")
    ('no_doubles', 'fatigue')

    Raises:
        OptionError: It can be no name of a module and an option.
    """
    found = name.replace("-", "_").removeprefix(_PREFIX)
    fault = ""
    if not _NAME.fullmatch(found):
        fault = "expected small letters, digits and hyphens, with a letter first, as in no-doubles"
    elif len(found) > _LONGEST:
        fault = f"expected at most {_LONGEST} letters"
    elif any(map(_is_reserved, (found, found.capitalize()))):
        fault = f"{found} is a word of Python"
    elif any(hasattr(role, found) for role in _BASES):
        fault = f"components have a {found} of their own: name the method"
    elif found in ("gpt2sdk", "test", "tests"):
        fault = f"{found} is taken: name the method"
    if fault:
        raise OptionError(f"{name!r} cannot be a plugin's name: {fault}", name="name", value=name)
    return found


def _is_reserved(word: str) -> bool:
    """Whether Python, or every class written in it, uses a word itself."""
    return keyword.iskeyword(word) or keyword.issoftkeyword(word) or word in ("self", "cls")


def files_of(name: str, role: str) -> dict[str, str]:
    """Return the files of a new plugin, by their paths in its folder.

    Args:
        name: What `plain_name` returned.
        role: A word of `ROLES`.

    Raises:
        OptionError: There is no beginning for this role.
    """
    if role not in ROLES:
        there = {role_name(each) for offer in default_registry().offers() for each in offer.roles}
        others = sorted(there - {each.title for each in ROLES.values()})
        message = (
            f"there is no beginning for {role!r}: expected {listing(tuple(ROLES))}. Write other "
            f"roles ({listing(others)}) into the package of one of these"
        )
        raise OptionError(message, name="role", value=role)
    _refuse_imported(name, role)
    words = _words(name, ROLES[role])
    package = f"src/{words['package']}"
    filled = {path: Template(text).substitute(words) for path, text in _templates(role)}
    return {
        "pyproject.toml": filled["package/pyproject.toml"],
        "README.md": filled["package/README.md"],
        f"{package}/__init__.py": filled["package/__init__.py"],
        f"{package}/py.typed": "",
        f"{package}/{name}.py": filled[f"{role}/component.py"],
        f"tests/test_{name}.py": filled[f"{role}/test.py"],
    }


def _refuse_imported(name: str, role: str) -> None:
    """Refuse a name whose class or function would hide something that the files import.

    Raises:
        OptionError: It would.
    """
    symbol = _words(name, ROLES[role])["symbol"]
    imported = {
        word
        for _, text in _templates(role)
        for line in re.findall(r"^ *(?:from [\w.$]+ )?import (.+)$", text, re.MULTILINE)
        for word in line.split(", ")
    }
    if symbol in imported:
        message = f"{name!r} cannot be a plugin's name: its files import another {symbol}"
        raise OptionError(message, name="name", value=name)


def write_folder(folder: Path, contents: Mapping[str, str]) -> None:
    """Write a new folder, whole or not at all.

    Args:
        folder: It must not be there yet.
        contents: The texts of its files, by their paths in it.

    Raises:
        OptionError: It is there.
        OSError: It cannot be written; nothing of it is left behind.
    """
    if folder.exists() or folder.is_symlink():
        message = f"{folder} is there already: take another name, or another place with --into"
        raise OptionError(message, name="name", value=folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that one renaming puts it there.
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for path, text in contents.items():
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _words(name: str, role: PluginRole) -> dict[str, str]:
    """Return what the blanks of the templates are filled in with."""
    symbol = name if role.is_function else "".join(each.capitalize() for each in name.split("_"))
    spoken = name.replace("_", " ")
    major, minor = (int(part) for part in __version__.split(".")[:2])
    option = role.option.format(name)
    return {
        "name": name,
        "module": name,
        "entry": name,
        "package": f"{_PREFIX}{name}",
        "distribution": f"{_PREFIX}{name}".replace("_", "-"),
        "symbol": symbol,
        "title": spoken[0].upper() + spoken[1:],
        "role": role.title,
        "summary": role.summary,
        "usage": role.usage.format(name, name),
        "options": f"| `{option}` | `{role.default}` | {role.about} |",
        "range": f">={major}.{minor},<{major}.{minor + 1}",
    }


def _templates(role: str) -> Iterator[tuple[str, str]]:
    """Yield the templates of every package and of a role, without their `.txt`."""
    home = files("gpt2sdk.cli") / "templates"
    for group in ("package", role):
        for file in (home / group).iterdir():
            yield f"{group}/{file.name.removesuffix('.txt')}", file.read_text(encoding="utf-8")
