"""Write what is generated from the first-party plugins: a stub for type checkers, and a table.

    python scripts/make_component_stub.py           # write both files
    python scripts/make_component_stub.py --check   # only say whether they are up to date

`gpt2sdk/components/__init__.pyi` tells type checkers about `gpt2sdk.components.MinP`, which the
registry finds at run time. `gpt2sdk/plugins/known.py` is how a missing plugin is named in errors.
"""

import sys
import textwrap
from pathlib import Path

from gpt2sdk.cli.plugin_commands import home_of, plugin_commands
from gpt2sdk.plugins.origin import Status
from gpt2sdk.plugins.registry import Offer, Registry

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100
CORE = "gpt2sdk"
STANDARD = (
    CORE,
    "gpt2sdk-drafters",
    "gpt2sdk-sampling",
    "gpt2sdk-stopping",
    "gpt2sdk-strategies",
)


def own_registry() -> Registry:
    """Return the registry of this repository's distributions, all of which must work."""
    ours = {CORE, *(folder.parent.name for folder in ROOT.glob("plugins/*/pyproject.toml"))}
    registry = Registry(allowed=ours)
    for record in registry.plugins():
        if record.origin.distribution in ours and record.status is not Status.ACTIVE:
            sys.exit(f"{record.origin}: {record.reason}")
    return registry


def first_party() -> tuple[Offer, ...]:
    """Return what the distributions of this repository offer."""
    return own_registry().offers()


def commands(registry: Registry) -> dict[str, str]:
    """Return the distribution of each command."""
    packages = {
        record.origin.target.partition(".")[0]: record.origin.distribution
        for record in registry.plugins()
    }
    return {
        name: packages[home_of(command).partition(".")[0]]
        for name, command in plugin_commands(registry.host).items()
    }


def stub(offers: tuple[Offer, ...]) -> str:
    """Return the stub: every component class of the standard set."""
    classes = sorted(
        (offer.component.__module__, offer.component.__name__)
        for offer in offers
        if offer.origin.distribution in STANDARD and offer.component.__name__[0].isupper()
    )
    imports = [_import(module, name) for module, name in classes]
    return "\n".join(
        [
            "# What `gpt2sdk.components` finds by name, for type checkers.",
            "# Written by scripts/make_component_stub.py.",
            "",
            *imports,
            "",
        ]
    )


def _import(module: str, name: str) -> str:
    """Return the line that imports a class, or the three lines where it is too long."""
    line = f"from {module} import {name} as {name}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n    {name} as {name},\n)"


def known(offers: tuple[Offer, ...], commands: dict[str, str]) -> str:
    """Return the tables: what each distribution but the core has, and where commands are."""
    names: dict[str, set[str]] = {}
    homes = {offer.name: offer.origin.distribution for offer in offers}
    for offer in offers:
        if offer.origin.distribution != CORE:
            found = names.setdefault(offer.origin.distribution, set())
            found |= {offer.name, offer.component.__name__}
            # `top_k` is a processor, though a strategy elsewhere has an option of that name.
            home = offer.origin.distribution
            found |= {
                each for each in offer.component.option_names() if homes.get(each, home) == home
            }
    tables = [
        f'    "{distribution}": """\n{_wrapped(sorted(words))}\n    """,'
        for distribution, words in sorted(names.items())
    ]
    return "\n".join(
        [
            '"""First-party components, classes and options by distribution, and commands.',
            "",
            "Written by scripts/make_component_stub.py.",
            '"""',
            "",
            "KNOWN = {",
            *tables,
            "}",
            "",
            "COMMANDS = {",
            *(f'    "{name}": "{home}",' for name, home in sorted(commands.items())),
            "}",
            "",
        ]
    )


def _wrapped(words: list[str]) -> str:
    """Return words as indented lines."""
    indent = " " * 8
    return textwrap.fill(" ".join(words), 98, initial_indent=indent, subsequent_indent=indent)


def generated() -> dict[Path, str]:
    """Return the text of each generated file."""
    offers = first_party()
    return {
        ROOT / "gpt2sdk" / "components" / "__init__.pyi": stub(offers),
        ROOT / "gpt2sdk" / "plugins" / "known.py": known(offers, commands(own_registry())),
    }


def main() -> None:
    """Write the files, or say which are out of date."""
    stale = [path for path, text in generated().items() if _read(path) != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"out of date: {', '.join(str(path.relative_to(ROOT)) for path in stale)}")
        return
    for path in stale:
        path.write_text(generated()[path], encoding="utf-8")
        print(path.relative_to(ROOT))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
