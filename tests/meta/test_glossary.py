"""One word for one thing: names and the glossary agree."""

import ast
import re
from collections import Counter, defaultdict

import pytest

import gpt2sdk

PLAIN = {
    "count": "a whole number, in any language",
    "encoder": "what makes tokens of something, as tokenizers has it",
    "end": "where a text ends",
    "error": "what Python calls so",
    "file": "what lies on a disk",
    "id": "the number of a token, as everybody calls it",
    "info": "what is known of a thing before it is read, as safetensors has it",
    "linear": "a layer, as torch names it",
    "lm": "a language model, as transformers abbreviates it",
    "mask": "a yes or no for each, as torch has it",
    "more": "as in one or more",
    "tensor": "what torch calls so",
}
"""Head words of public names that need no line in the glossary, and why."""

OTHERWISE = {
    ("Started", "plugins/gpt2sdk-train/src/gpt2sdk_train/events.py"): "a run of training begins",
    ("Run", "plugins"): "a component at work in one session: the same thing in each module",
}
"""Second uses of a class's name that stay inside their module, or their distribution."""

ALIKE = {
    "architecture": "the role, and the one that core has",
    "checkpoint": "what a checkpoint is, and how that of a GPT-2 is opened",
}
"""Names that several modules of the core share, since they are about one thing."""


def head_word(name):
    """Return the word that says what a name in capitals is, in lower case and singular."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", name)
    return words[-1].lower().removesuffix("s")


def lines(page):
    """Return what stands before each explanation of a glossary: a word, or several."""
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    return [row for row in rows if row not in ("word", "---")]


def terms(page):
    """Return the words that a glossary explains."""
    return [word for line in lines(page) for word in line.split(", ")]


def unexplained(names, known):
    """Return the names whose head word is neither in the glossary nor a plain one."""
    singular = {term.removesuffix("s") for term in known}
    return [name for name in names if head_word(name) not in singular | PLAIN.keys()]


def classes_of_one_name(sources):
    """Return the names that classes have in several modules, with these, by their sources."""
    found = defaultdict(list)
    for path, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                name = node.name.removeprefix("_")
                if not {(name, path), (name, path.partition("/")[0])} & OTHERWISE.keys():
                    found[name].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def modules_of_one_name(paths):
    """Return the names that several modules have, with these."""
    found = defaultdict(list)
    for path in paths:
        stem = path.rpartition("/")[2].removesuffix(".py")
        if stem != "__init__" and stem not in ALIKE:
            found[stem].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


@pytest.fixture(scope="module")
def page(root):
    """Return the glossary."""
    return (root / "docs" / "glossary.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def glossary(page):
    """Return the words that the glossary explains."""
    return terms(page)


@pytest.fixture(scope="module")
def public():
    """Return the public names of classes and types."""
    return [name for name in gpt2sdk.__all__ if name[0].isupper()]


def test_every_public_name_says_a_word_that_is_explained(public, glossary):
    assert [] == unexplained(public, glossary)


def test_no_word_is_explained_twice(glossary):
    assert [] == [word for word, count in Counter(glossary).items() if count > 1]


def test_the_glossary_is_in_alphabetical_order(page):
    assert sorted(lines(page)) == lines(page)


def test_plain_words_are_used_and_not_explained(public, glossary):
    heads = {head_word(name) for name in public}

    assert set() == PLAIN.keys() - heads
    assert set() == PLAIN.keys() & set(glossary)


def test_no_two_modules_name_a_class_alike(root, modules):
    sources = {path.relative_to(root).as_posix(): path.read_text() for path in modules}

    assert {} == classes_of_one_name(sources)


def test_no_two_modules_of_the_core_are_named_alike(root):
    paths = [path.relative_to(root).as_posix() for path in sorted(root.glob("gpt2sdk/**/*.py"))]

    assert {} == modules_of_one_name(paths)
    assert set() == ALIKE.keys() - {path.rpartition("/")[2].removesuffix(".py") for path in paths}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("LogitsProcessor", "processor"),
        ("Rows", "row"),
        ("CausalLM", "lm"),
        ("GPT2Config", "config"),
        ("GPT2SDKError", "error"),
    ],
)
def test_the_last_word_of_a_name_says_what_it_is(name, word):
    assert word == head_word(name)


def test_words_that_nobody_explained_are_found():
    page = "| word | means |\n| --- | --- |\n| logprobs, probs | numbers |\n| row | a sequence |\n"

    assert ["logprobs", "probs", "row"] == terms(page)
    assert ["TextRoster"] == unexplained(["Rows", "TextRoster", "PluginError"], terms(page))


def test_a_class_name_in_two_modules_is_found():
    sources = {
        "one.py": "class Reader: ...",
        "two.py": "class _Reader: ...\nclass Row: ...",
        "three.py": "def Row(): ...",
    }

    assert {"Reader": ["one.py", "two.py"]} == classes_of_one_name(sources)


def test_a_module_name_in_two_packages_is_found():
    paths = ["gpt2sdk/a/rows.py", "gpt2sdk/b/rows.py", "gpt2sdk/a/__init__.py"]

    assert {"rows": paths[:2]} == modules_of_one_name([*paths, "gpt2sdk/b/__init__.py"])
