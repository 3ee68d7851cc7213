"""Fake distributions: trees of metadata and modules in a folder on `sys.path`."""

import sys
import textwrap

import pytest

COMPONENT = """
from gpt2sdk import hookimpl

@hookimpl
def gpt2sdk_components():
    from gpt2sdk import LogitsProcessor

    class {name}(LogitsProcessor):
        {option}: float = 0.0

    return ({name},)
"""


@pytest.fixture
def offering():
    """Return a function that writes the source of a plugin with one processor."""

    def offering(name="Acme", option="acme"):
        return COMPONENT.format(name=name, option=option)

    return offering


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution, in a folder named by `where`."""
    before = set(sys.modules)

    def install(
        distribution,
        source="",
        *,
        version="1.0",
        entry_point="acme",
        module=None,
        requires=(),
        where="site",
    ):
        site = tmp_path / where
        if not site.exists():
            site.mkdir()
            monkeypatch.syspath_prepend(str(site))
        module = module or distribution.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}"
        )
        (info / "entry_points.txt").write_text(f"[gpt2sdk]\n{entry_point} = {module}\n")
        return module

    yield install
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
