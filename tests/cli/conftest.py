"""Commands to test, in this process and in processes of their own."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gpt2sdk.plugins.host import default_host
from gpt2sdk.plugins.registry import default_registry

STANDARD = "drafters,sampling,stopping,strategies"

RULES = '''
"""A plugin in one file."""

from gpt2sdk import LogitsProcessor, hookimpl


class Fail(LogitsProcessor):
    """Raises where a row gets too long."""

    fail_at: int = 0

    def process(self, logits, rows):
        if int((rows.lengths - rows.prompt_lengths).max()) >= self.fail_at:
            raise ArithmeticError("no more of this")
        return logits


@hookimpl
def gpt2sdk_components():
    return (Fail,)
'''


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Return the folder of a tiny model with random weights."""
    from gpt2sdk.testing import save_tiny_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return str(folder)


@pytest.fixture(scope="session")
def generator(model):
    """Return what the command line is to agree with, which has the standard plugins alone."""
    from gpt2sdk import Generator

    return Generator.from_pretrained(model, runner="torch")


@pytest.fixture(scope="session")
def rules(tmp_path_factory):
    """Return a plugin file with a processor that raises after `fail_at` tokens."""
    file = tmp_path_factory.mktemp("plugins") / "rules.py"
    file.write_text(RULES)
    return str(file)


def forget_plugins():
    """Let what is installed be looked for anew."""
    default_host.cache_clear()
    default_registry.cache_clear()


@pytest.fixture(autouse=True)
def standard_plugins(monkeypatch):
    """Allow the standard set only, whatever else is installed here."""
    monkeypatch.setenv("GPT2SDK_PLUGINS", STANDARD)
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def invoke(monkeypatch):
    """Return a function that runs a command in this process."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments, stdin=""):
        from gpt2sdk.cli.app import app

        return CliRunner().invoke(app, arguments, input=stdin, prog_name="gpt2sdk")

    return run


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a plugin, given as the source of its module."""

    def install(name, source, version="1.0"):
        package = name.replace("-", "_")
        information = tmp_path / f"{package}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (information / "entry_points.txt").write_text(f"[gpt2sdk]\n{package} = {package}\n")
        (tmp_path / f"{package}.py").write_text(source)
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.setenv("GPT2SDK_PLUGINS", f"{os.environ['GPT2SDK_PLUGINS']},{package}")
        forget_plugins()

    monkeypatch.syspath_prepend(tmp_path)
    return install


@pytest.fixture(scope="session")
def environment():
    """Return the environment of a process whose output has colours on a terminal only."""
    plain = {"COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING", "GPT2SDK_DEBUG"}
    kept = {name: value for name, value in os.environ.items() if name not in plain}
    return kept | {"GPT2SDK_PLUGINS": STANDARD}


@pytest.fixture(scope="session")
def process(environment):
    """Return a function that runs a command in a process of its own, to its end."""

    def run(*arguments, stdin=b"", env=None):
        return subprocess.run(
            [sys.executable, "-m", "gpt2sdk", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
            env=environment | (env or {}),
        )

    return run
