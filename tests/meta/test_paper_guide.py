"""The code of the guide from a paper to a plugin passes the checks that the guide promises."""

import re
import subprocess
import sys

import pytest

CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def blocks(root):
    """Return the guide's blocks of Python; the first one is the module of the package."""
    return CODE.findall((root / "docs/guides/from-paper-to-plugin.md").read_text("utf-8"))


def ruff(root, code, file, *options):
    """Return what is wrong with code that stands in a file, by the project's rules."""
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", *options]
    command += ["--output-format=concise", "--stdin-filename", str(root / file), "-"]
    run = subprocess.run(command, cwd=root, input=code, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def unformatted(root, code, file):
    """Return how ruff would write code otherwise; nothing where it would not."""
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", "--diff"]
    command += ["--stdin-filename", str(root / file), "-"]
    run = subprocess.run(command, cwd=root, input=code, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def mypy(root, code, folder):
    """Return what mypy says of code, in strict mode and with the project's settings."""
    file = folder / "guide.py"
    file.write_text(code, encoding="utf-8")
    settings = ["--strict", "--config-file", str(root / "pyproject.toml")]
    command = [sys.executable, "-m", "mypy", *settings, "--no-error-summary"]
    command += ["--cache-dir", str(root / ".mypy_cache"), str(file)]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


MODULE = "plugins/gpt2sdk-strategies/src/gpt2sdk_strategies/cautious.py"


def test_the_module_passes_every_rule_of_ruff(root, blocks):
    assert "def cautious(" in blocks[0]
    assert "" == ruff(root, blocks[0], MODULE)


def test_the_page_as_one_program_passes_the_rules_for_examples(root, blocks):
    # Blocks import what they need, assert, and their functions are seen at work.
    options = ("--ignore", "E402,I001,S101,D103")

    assert "" == ruff(root, "\n\n".join(blocks), "examples/cautious.py", *options)


def test_every_block_is_formatted(root, blocks):
    assert [] == [each for each in blocks if unformatted(root, each, MODULE)]


@pytest.mark.slow
def test_the_page_passes_mypy_in_strict_mode(root, blocks, tmp_path):
    assert "" == mypy(root, "\n\n".join(blocks), tmp_path)


@pytest.mark.slow
def test_what_is_wrong_in_a_guide_is_found(root, tmp_path):
    assert "F401" in ruff(root, '"""A."""\n\nimport re\n', MODULE)
    assert "x = 1" in unformatted(root, "x=1\n", MODULE)
    assert "no-untyped-def" in mypy(root, "def f(x): return x\n", tmp_path)
