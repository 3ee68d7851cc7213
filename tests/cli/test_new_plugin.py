"""`gpt2sdk new-plugin`: what it writes passes at once, whole or not at all, under a free name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2sdk.cli import scaffold
from gpt2sdk.cli.scaffold import ROLES, files_of, plain_name, write_folder
from gpt2sdk.errors import OptionError

LONGEST = "abcdefghij-abcdefghij-ab"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written(tmp_path, invoke):
    """Return a function that writes a plugin, and returns its folder."""

    def write(name, role="processor"):
        ran = invoke("new-plugin", name, "--role", role, "--into", str(tmp_path / role))
        assert (0, "") == (ran.exit_code, ran.stderr)
        return tmp_path / role / f"gpt2sdk-{name}"

    return write


def listing(folder):
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def run(folder, *command, **env):
    """Run a tool in a folder, and return what it says where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_what_is_written_passes_its_tests_ruff_and_mypy(written, role):
    folder = written("shy", role)

    assert "" == run(folder, "pytest", "-q", "-p", "no:cacheprovider")
    assert "" == run(folder, "mypy", MYPYPATH=str(ROOT))
    for name in ("shy", LONGEST):
        folder = folder if name == "shy" else written(name, role)
        assert "" == run(folder, "ruff", "format", "--check", ".")
        assert "" == run(folder, "ruff", "check", ".")


def test_the_files_of_a_processor(written, invoke, tmp_path):
    folder = written("no-doubles")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert {
        "README.md",
        "pyproject.toml",
        "src/gpt2sdk_no_doubles/__init__.py",
        "src/gpt2sdk_no_doubles/no_doubles.py",
        "src/gpt2sdk_no_doubles/py.typed",
        "tests/test_no_doubles.py",
    } == files
    assert ["gpt2sdk-no-doubles"] == listing(tmp_path / "processor")
    assert (
        "class NoDoubles(LogitsProcessor)"
        in (folder / "src" / "gpt2sdk_no_doubles" / "no_doubles.py").read_text()
    )
    assert "$" not in "".join((folder / name).read_text() for name in files)


def test_what_is_printed_is_what_to_do_next(invoke, tmp_path):
    ran = invoke("new-plugin", "gpt2sdk-shy", "--into", str(tmp_path))

    folder = tmp_path / "gpt2sdk-shy"
    assert [
        f"{folder} is there, with 6 files. Next:",
        f"  pip install -e {folder}",
        f"  pytest {folder}",
        "  gpt2sdk plugins check gpt2sdk-shy",
    ] == ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shy", "expected small letters"),
        ("9lives", "expected small letters"),
        ("a b", "expected small letters"),
        ("../shy", "expected small letters"),
        ("shy-", "expected small letters"),
        ("a__b", "expected small letters"),
        ("", "expected small letters"),
        ("gpt2sdk-", "expected small letters"),
        ("lambda", "a word of Python"),
        ("match", "a word of Python"),
        ("none", "a word of Python"),
        ("self", "a word of Python"),
        ("name", "components have a name of their own"),
        ("process", "components have a process of their own"),
        ("rows", "its files import another Rows"),
        ("test", "is taken"),
        ("x" * 25, "at most 24 letters"),
        ("top-p", "the logits processor top_p of gpt2sdk-sampling"),
        ("min_tokens_to_keep", "an option of the logits processor"),
        ("max-new-tokens", "an option of every call"),
        ("sampling", "the plugin of gpt2sdk-sampling"),
        ("storyteller", "gpt2sdk-storyteller"),
    ],
)
def test_a_name_that_cannot_be_is_refused(invoke, tmp_path, name, reason):
    ran = invoke("new-plugin", name, "--into", str(tmp_path))

    assert 2 == ran.exit_code
    assert reason in ran.stderr
    assert [] == listing(tmp_path)


def test_a_role_without_a_beginning_is_refused(invoke, tmp_path):
    ran = invoke("new-plugin", "shy", "--role", "detector", "--into", str(tmp_path))

    assert 2 == ran.exit_code
    assert "expected processor, sampler, criterion, strategy" in ran.stderr
    assert re.search(r"other roles \(.*architecture.*runner.*\) into", " ".join(ran.stderr.split()))
    assert [] == listing(tmp_path)


def test_a_folder_that_is_there_is_left_alone(invoke, tmp_path):
    (tmp_path / "gpt2sdk-shy").mkdir()
    (tmp_path / "gpt2sdk-shy" / "mine.txt").write_text("mine")

    ran = invoke("new-plugin", "shy", "--into", str(tmp_path))

    assert 2 == ran.exit_code
    assert "is there already" in ran.stderr
    assert ["mine.txt"] == listing(tmp_path / "gpt2sdk-shy")
    assert ["gpt2sdk-shy"] == listing(tmp_path)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_folder_that_cannot_be_written(tmp_path, monkeypatch, error):
    contents = files_of("shy", "processor")

    def fail(path, text, encoding):
        if path.name.startswith("test_"):
            raise error
        path.write_bytes(text.encode(encoding))

    monkeypatch.setattr(scaffold.Path, "write_text", fail)
    with pytest.raises(type(error)):
        write_folder(tmp_path / "gpt2sdk-shy", contents)

    assert [] == listing(tmp_path)


def test_names_may_be_written_with_the_prefix():
    assert "no_doubles" == plain_name("gpt2sdk-no-doubles") == plain_name("no_doubles")
    with pytest.raises(OptionError):
        plain_name("no doubles")
