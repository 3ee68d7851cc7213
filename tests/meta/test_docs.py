"""Every Python block of the documentation runs, and prints what it says it prints.

The blocks of a file share one namespace, and run in an empty folder in which `gpt2` is a tiny
model with random weights. A block of kind `text` right after one of kind `python` is its output,
`...` standing for anything. `<!-- not run: reason -->` on the line above leaves a block out.
"""

import contextlib
import doctest
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *[ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
BLOCK = re.compile(
    r"(?P<skip>^<!-- not run: .+ -->\n+)?"
    r"^(?P<indent> *)```python\b[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$"
    r"(?:\s*^(?P=indent)```text\b[^\n]*\n(?P<output>.*?)^(?P=indent)```[ ]*$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """A piece of Python in a page, and what it prints."""

    line: int
    code: str
    output: str | None

    def run(self, namespace, file):
        """Run the code, reporting errors at its line in the page, and return what it printed."""
        program = compile("\n" * (self.line - 1) + self.code, file, "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, namespace)  # noqa: S102, running it is the point
        return printed.getvalue()


def blocks(page):
    """Return the blocks of a page that are to be run."""
    return [
        Block(
            line=page.count("\n", 0, match.start("code")) + 1,
            code=dedent(match["code"], match["indent"]),
            output=None if match["output"] is None else dedent(match["output"], match["indent"]),
        )
        for match in BLOCK.finditer(page)
        if not match["skip"]
    ]


def dedent(text, indent):
    """Remove the indentation of the fence from each line."""
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def run_page(page, file="page.md"):
    """Run a page's blocks one after another; a wrong output is an assertion error."""
    namespace = {"__name__": "__main__"}
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in blocks(page):
        got = block.run(namespace, file)
        if block.output is not None:
            same = doctest.OutputChecker().check_output(block.output, got, options)
            assert same, f"{file}:{block.line} printed\n{got}instead of\n{block.output}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_documentation_runs(path, request):
    page = path.read_text(encoding="utf-8")
    if any("gpt2sdk" in block.code for block in blocks(page)):
        request.getfixturevalue("playground")

    run_page(page, str(path))


def test_blocks_share_a_namespace_and_outputs_are_compared():
    run_page(
        "```python\nx = 1\n```\n\n```python\nprint(x, 'is', x)\n```\n\n```text\n1 ... 1\n```\n"
    )


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("```python\nprint(1)\n```\n```text\n2\n```\n", AssertionError),
        ("- item\n\n    ```python\n    1 / 0\n    ```\n", ZeroDivisionError),
    ],
)
def test_wrong_blocks_are_found(page, error):
    with pytest.raises(error):
        run_page(page)


def test_a_block_is_left_out_with_a_reason():
    assert [] == blocks("<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n")
    assert 1 == len(blocks("<!-- not run: -->\n```python\n1 / 0\n```\n"))


def test_errors_point_into_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("Title\n\n```python\n1 / 0\n```\n")

    assert 4 == caught.traceback[-1].lineno + 1
