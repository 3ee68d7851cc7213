"""Pin everything that tests, checks and docs need, in constraints.txt: what `make lock` runs.

    python scripts/lock.py

pip resolves requirements-dev.txt, the core and every plugin in a fresh environment, as `make` does
on a new machine, but held to nothing except the pin of torch: each package is then the newest that
all the stated ranges allow. Nothing is installed, and nothing but the standard library is needed.
"""

import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"

# They come with torch's CUDA builds, in the versions that torch itself pins: where an index offers
# a CPU build, no pin may bring them in, and where it does not, none may contradict torch.
BROUGHT_BY_TORCH = re.compile(r"cuda-|nvidia-|triton$")

HEADER = """\
# What every `pip install` of the Makefile is held to: all that tests, checks and docs import, and
# what these need in turn. `make lock` writes this file anew, with the newest releases that
# pyproject.toml, the plugins' and requirements-dev.txt allow: these state the honest ranges.
#
# torch's pin alone is chosen by hand: edit it here, then `make lock`. Its build decides the size of
# everything else: this one is known to work, and on an index that offers a CPU build it comes
# without gigabytes of CUDA packages. So no pin names a build (`+cpu`) or one of those packages.
"""


def torch_pin(text: str) -> str:
    r"""Return the line that pins torch in the text of constraints.txt.

    >>> torch_pin("# torch==9\nnumpy==2.4.6\ntorch==2.13.0\n")
    'torch==2.13.0'
    """
    return next(line for line in text.splitlines() if line.startswith("torch=="))


def resolve(pin: str) -> list[dict[str, Any]]:
    """Return the metadata of all distributions from an index that a new machine would get."""
    projects = [ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        report, held = Path(folder, "report.json"), Path(folder, "constraints.txt")
        held.write_text(pin + "\n")
        pip = [str(Path(folder, "bin", "python")), "-m", "pip", "--quiet", "install"]
        where = ["--dry-run", "--report", str(report), "-c", str(held)]
        what = ["-r", "requirements-dev.txt", *(f"--editable={project}" for project in projects)]
        subprocess.run([*pip, *where, *what], cwd=ROOT, check=True)
        installs = json.loads(report.read_text())["install"]
    return [entry["metadata"] for entry in installs if not entry["is_direct"]]


def pins(found: Iterable[dict[str, Any]]) -> list[str]:
    """Return a line for each distribution, by name; versions lose their local part.

    >>> pins([{"name": "torch", "version": "2.13.0+cpu"}, {"name": "triton", "version": "3.5"}])
    ['torch==2.13.0']
    """
    lines = (
        f"{each['name']}=={each['version'].partition('+')[0]}"
        for each in found
        if not BROUGHT_BY_TORCH.match(each["name"].lower())
    )
    return sorted(lines, key=str.lower)


def main() -> int:
    """Write constraints.txt, and print what changed."""
    old = CONSTRAINTS.read_text()
    chosen = torch_pin(old)
    new = [line for line in pins(resolve(chosen)) if line != chosen]
    CONSTRAINTS.write_text("\n".join([HEADER + chosen, "", *new]) + "\n")
    before = {line for line in old.splitlines() if "==" in line and not line.startswith("#")}
    for line in sorted(before ^ {chosen, *new}, key=str.lower):
        print("-" if line in before else "+", line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
