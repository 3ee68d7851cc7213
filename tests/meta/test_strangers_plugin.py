"""A stranger's plugin: written by `new-plugin`, built, installed, used, checked and uninstalled."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from itertools import pairwise
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
USE = """
from gpt2sdk import Generator
from gpt2sdk.testing import Letters, TableModel

gen = Generator(TableModel(vocab_size=28), Letters(), decoder=Letters())
options = {"strategy": "greedy", "max_new_tokens": 12}
print(gen.generate("once", **options).text)
print(gen.generate("once", fatigue=50.0, **options).text)
"""


def run(*command, code=0, **settings):
    """Run a command with nothing of ours on Python's path, and return what it printed."""
    done = subprocess.run(
        list(map(str, command)), env=CLEAN, capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def python(root, tmp_path):
    """Return the Python of an environment that has gpt2sdk and what it needs, and nothing else."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("gpt2sdk", "__editable__")) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    (packages / "gpt2sdk").symlink_to(root / "gpt2sdk")
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "borrowed.pth").write_text(f"{packages}\n")
    return python


def test_the_life_of_a_strangers_plugin(python, tmp_path):
    pip = [sys.executable, "-m", "pip"]
    gpt2sdk = [python, "-m", "gpt2sdk"]
    run(*gpt2sdk, "new-plugin", "fatigue", cwd=tmp_path)
    folder = tmp_path / "gpt2sdk-fatigue"

    build = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    run(*pip, *build, "--wheel-dir", tmp_path / "dist", folder)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = [*pip, "--python", python]
    run(*inside, "install", "--quiet", "--no-index", "--no-deps", wheel)

    plain, tired = run(python, "-c", USE, cwd=tmp_path).splitlines()
    assert plain != tired
    assert not any(one == other for one, other in pairwise(tired))

    assert "fatigue" in run(*gpt2sdk, "options", "fatigue", cwd=tmp_path)
    explained = run(*gpt2sdk, "explain", "-o", "fatigue=2", cwd=tmp_path)
    assert "gpt2sdk-fatigue 0.1.0" in explained
    found = json.loads(run(*gpt2sdk, "plugins", "check", "fatigue", "--json", cwd=tmp_path))
    assert {True} == {each["passed"] for each in found}
    assert {"plugin", "logits processor"} == {each["role"] for each in found}

    run(*inside, "uninstall", "--quiet", "--yes", "gpt2sdk-fatigue")
    assert "fatigue" not in run(*gpt2sdk, "plugins", cwd=tmp_path)
    run(*gpt2sdk, "plugins", "check", "fatigue", cwd=tmp_path, code=2)
