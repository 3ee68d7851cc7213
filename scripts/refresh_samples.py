"""Write anew what documentation says is printed, and the storyteller's samples: `make samples`.

    python scripts/refresh_samples.py [page …]

Runs the Python blocks of each page as the tests do, and puts what they print where it is not what
the page says. An output that abbreviates with `...` is named, since it was written by hand. To be
used where printed samples change on purpose; what is written is to be read before it is committed.
"""

import doctest
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from package_storyteller import MODEL, samples

from gpt2sdk.testing import save_tiny_model

ROOT = Path(__file__).resolve().parents[1]
PAGES = runpy.run_path(str(ROOT / "tests" / "meta" / "test_docs.py"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

sys.path += map(str, ROOT.glob("examples/*/src"))  # which are not installed


def rewritten(page: str, name: str) -> Iterator[str]:
    """Yield a page piece by piece, with what its blocks print now."""
    namespace = {"__name__": "__main__"}
    places = [match for match in PAGES["BLOCK"].finditer(page) if not match["skip"]]
    end = 0
    for match, block in zip(places, PAGES["blocks"](page), strict=True):
        printed = block.run(namespace, name)
        if block.output is None:
            continue
        if doctest.OutputChecker().check_output(block.output, printed, OPTIONS):
            continue
        if "..." in block.output:
            sys.stderr.write(f"{name}:{block.line} was abbreviated: look at it\n")
        lines = [f"{match['indent']}{line}".rstrip() for line in printed.splitlines()]
        yield page[end : match.start("output")] + "\n".join(lines) + "\n"
        end = match.end("output")
    yield page[end:]


def refresh(path: Path) -> None:
    """Write a page anew, in an empty folder that holds a tiny model named `gpt2`."""
    before = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if "gpt2sdk" in before:
            save_tiny_model(Path("gpt2"))
        after = "".join(rewritten(before, str(path)))
        os.chdir(ROOT)
    if after != before:
        path.write_text(after, encoding="utf-8")
        print(path.relative_to(ROOT))


def refresh_card() -> None:
    """Write the samples in the storyteller's model card anew."""
    path = MODEL / "README.md"
    card = path.read_text(encoding="utf-8")
    before = re.split(r"(?=\*\*Seed 1\*\*)", card)[0]
    path.write_text(before + "\n".join(samples()), encoding="utf-8")


def main() -> None:
    """Write all pages, or those that are named."""
    torch.set_num_threads(1)
    named = [Path(name).resolve() for name in sys.argv[1:]]
    for path in named or PAGES["PAGES"]:
        refresh(path)
    if not named:
        refresh_card()


if __name__ == "__main__":
    main()
