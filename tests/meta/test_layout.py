"""Files can be read in one sitting, say what they hold, and know nothing of one machine."""

import ast
import re

import pytest

MOST_LINES = 350
VAGUE = re.compile(r"_?(base|common|core|helpers?|misc|shared|stuff|tools?|utils?)$")
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|root|tmp|home/\w+)(?![\w-])")
TEXT = {"", ".cfg", ".ini", ".json", ".md", ".py", ".pyi", ".sh", ".toml", ".txt", ".yml"}


def shortcomings(name, source):
    """Return what is wrong with a module of this name and source."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    lines = len(source.splitlines())
    found = []
    if not docstring:
        found.append("has no docstring")
    if lines > MOST_LINES:
        found.append(f"has {lines} lines, more than {MOST_LINES}")
    if VAGUE.match(name):
        found.append("has a name that says nothing")
    return found


def machine_paths(text):
    """Return the paths in a text that exist on one machine only."""
    return MACHINE_PATH.findall(text)


def test_modules_are_short_documented_and_named(root, modules):
    wrong = [
        f"{path.relative_to(root)} {what}"
        for path in modules
        for what in shortcomings(path.stem, path.read_text())
    ]

    assert [] == wrong


def test_every_folder_of_modules_is_a_package(modules):
    folders = {path.parent for path in modules}

    assert [] == sorted(str(folder) for folder in folders if not (folder / "__init__.py").exists())


def test_files_name_no_path_of_one_machine(root, files):
    texts = [path for path in files if path.suffix in TEXT and path.stat().st_size < 1_000_000]
    wrong = [
        f"{path.relative_to(root)}: {found}"
        for path in texts
        for found in machine_paths(path.read_text(encoding="utf-8", errors="ignore"))
    ]

    assert [] == wrong


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("top_p", "'''Doc.'''\n", []),
        ("top_p", "import os\n", ["has no docstring"]),
        ("top_p", "'''Doc.'''\n" + "x = 1\n" * 350, ["has 351 lines, more than 350"]),
        ("utils", "'''Doc.'''\n", ["has a name that says nothing"]),
    ],
)
def test_shortcomings_are_found(name, source, expected):
    assert expected == shortcomings(name, source)


def test_machine_paths_are_found():
    path = "/".join(["", "work", "main"])  # noqa: FLY002, written whole it would be found here

    assert machine_paths(f"see {path}/README.md")
    assert not machine_paths("https://example.org/work/x and homework/tmp_path")
