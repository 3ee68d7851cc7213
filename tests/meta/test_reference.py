"""Hooks and errors are documented where users look for them."""

import ast
import inspect
import re

from gpt2sdk import errors
from gpt2sdk.plugins.registry import Registry


def hook_names(source):
    """Return the hooks that a source file specifies: functions that are marked `@hookspec`."""
    return sorted(
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("gpt2sdk_")
        and any("hookspec" in ast.unparse(decorator) for decorator in node.decorator_list)
    )


def undocumented(names, page):
    """Return the names that have no heading or reference entry on a page."""
    entries = set(re.findall(r"^(?:#+ |::: )\S*?(\w+)`?(?:\(.*)?$", page, re.MULTILINE))
    return [name for name in names if name not in entries]


def exceptions():
    """Return every exception that errors.py defines, with its parents."""
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }


def unnamed(page):
    """Return the components that a page does not name as code."""
    said = {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"\w+", code)}
    return [
        offer.name
        for offer in Registry().offers()
        # What a processor is called is the option that turns it on.
        if offer.origin.distribution
        and not {offer.name, *offer.component.option_names()[:1]} & said
    ]


def test_the_readme_names_every_component(root):
    assert [] == unnamed((root / "README.md").read_text())


def test_a_component_that_a_readme_does_not_name_is_found(root):
    page = (root / "README.md").read_text()

    assert ["native"] == unnamed(re.sub(r"\bnative\b", "other", page))


def test_the_readme_and_the_first_page_name_what_is_asked_first(root):
    for page in ("README.md", "docs/index.md"):
        text = (root / page).read_text().lower()
        asked = ["guided text", 'runner="native"', "detect", "gpt2sdk new-plugin"]
        asked += ["gpt2sdk plugins check"]
        assert [] == [each for each in asked if each not in text], page


def test_every_hook_is_documented(root):
    names = hook_names((root / "gpt2sdk" / "hookspecs.py").read_text())

    assert names
    assert [] == undocumented(names, (root / "docs" / "reference" / "hooks.md").read_text())


def test_undocumented_hooks_are_found():
    source = "@hookspec(firstresult=True)\ndef gpt2sdk_new(model): ...\ndef other(): ..."

    assert ["gpt2sdk_new"] == hook_names(source)
    assert ["gpt2sdk_new"] == undocumented(["gpt2sdk_new"], "gpt2sdk_new in passing\n## gpt2sdk_x")
    assert [] == undocumented(["gpt2sdk_new"], "::: gpt2sdk.hookspecs.gpt2sdk_new")
    assert [] == undocumented(["gpt2sdk_new"], "## `gpt2sdk_new(model)`")


def test_the_tree_of_errors_is_complete():
    tree = re.findall(r"(\w+Error)(?: \((\w+)\))?  ", errors.__doc__ + "  ")
    drawn = {name for name, _ in tree} | {"GPT2SDKError"}

    assert set(exceptions()) == drawn
    for name, foreign in tree:
        assert not foreign or foreign in {c.__name__ for c in exceptions()[name].__mro__}


def test_every_error_is_on_the_page_and_exported(root):
    page = (root / "docs" / "reference" / "errors.md").read_text()
    whole = "::: gpt2sdk.errors\n" in page

    assert whole or [] == undocumented(exceptions(), page)
