"""Print a constraint for each direct dependency: the oldest release that its range allows.

    python scripts/lowest.py --torch 2.13.0

`make test-oldest` installs the core and all plugins held to these lines; the tools of
requirements-test.txt, and what the dependencies need in turn, are not held back. torch's version is
an argument, since not every index offers its oldest one as a CPU build. Nothing but the standard
library is needed.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[.*?\])?\s*>=\s*([\d.]+)")


def version_key(version: str) -> tuple[int, ...]:
    """Return what a version is compared by.

    >>> version_key("2.13") > version_key("2.6")
    True
    """
    return tuple(map(int, version.split(".")))


def lowest(requirements: Iterable[str]) -> dict[str, str]:
    """Return the oldest version that meets all requirements, by name.

    >>> lowest(["numpy>=1.26", "rich>=13.7", "numpy>=2.0,<3"])
    {'numpy': '2.0', 'rich': '13.7'}

    Raises:
        ValueError: A requirement has no lower bound.
    """
    found: dict[str, str] = {}
    for requirement in requirements:
        match = REQUIREMENT.match(requirement)
        if match is None:
            raise ValueError(f"expected name>=version, got {requirement!r}: state a lower bound")
        name, version = match.groups()
        found[name] = max(found.get(name, version), version, key=version_key)
    return found


def dependencies() -> list[str]:
    """Return what the core and the plugins require of others."""
    files = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    needs = [need for project in projects for need in project["dependencies"]]
    return [need for need in needs if not need.startswith("gpt2sdk")]


def main() -> int:
    """Print the lines."""
    parser = argparse.ArgumentParser(description="Constraints of the oldest allowed releases.")
    parser.add_argument("--torch", required=True, help="its version, as in 2.13.0")
    oldest = lowest(dependencies()) | {"torch": parser.parse_args().torch}
    print("\n".join(f"{name}=={version}" for name, version in oldest.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
