"""`import gpt2sdk` and `gpt2sdk --help` are quick: nothing heavy is imported before it is used."""

import ast
import importlib
import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "numpy", "tokenizers", "huggingface_hub", "pydantic")
REPORT = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def heavy_modules(statements, heavy=HEAVY):
    """Return which heavy modules are loaded after these statements, in a fresh interpreter."""
    run = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{REPORT}"],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = json.loads(run.stdout.splitlines()[-1])
    return [name for name in heavy if name in loaded]


def test_importing_the_package_is_light():
    assert [] == heavy_modules("import gpt2sdk")


def test_importing_entry_modules_is_light(plugins):
    modules = [name.replace("-", "_") for name in plugins]

    assert [] == heavy_modules("import " + ", ".join(modules))


def test_asking_for_help_is_light():
    help_ = (
        "import sys\n"
        "from gpt2sdk.cli import main\n"
        "sys.argv = ['gpt2sdk', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )

    assert [] == heavy_modules(help_, heavy=("torch", "transformers"))


def test_heavy_modules_are_found():
    assert ["numpy"] == heavy_modules("import numpy")


def test_all_names_exactly_what_is_public():
    package = importlib.import_module("gpt2sdk")
    loaded = {name for name in sys.modules if name.startswith("gpt2sdk.")}
    submodules = {name.split(".")[1] for name in loaded} - set(package.__all__)

    assert sorted(set(package.__all__)) == sorted(package.__all__)
    public = {name for name in dir(package) if not name.startswith("_")} - submodules
    assert set(package.__all__) - {"__version__"} == public
    for name in package.__all__:
        assert getattr(package, name) is not None


def re_exported(source):
    """Return the names a module offers to type checkers: `import x as x`, or a literal `__all__`.

    An import without an alias is private to a typed package, and a computed `__all__` is not read.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.Assign) and "__all__" in map(ast.unparse, node.targets):
            names |= {e.value for e in node.value.elts if isinstance(e, ast.Constant)}
    return names


def test_type_checkers_see_every_public_name(root):
    """A package that resolves names lazily tells type checkers about them in a second place."""
    package = importlib.import_module("gpt2sdk")
    stub = root / "gpt2sdk" / "__init__.pyi"
    source = stub if stub.exists() else root / "gpt2sdk" / "__init__.py"

    assert set() == set(package.__all__) - re_exported(source.read_text())


def test_names_that_type_checkers_do_not_see_are_found():
    source = "from x import a, b as b\nmore = ['d']\n__all__ = ['c', *more]"

    assert {"b", "c"} == re_exported(source)


def test_an_unknown_name_is_an_attribute_error():
    package = importlib.import_module("gpt2sdk")

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name
