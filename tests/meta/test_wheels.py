"""Wheels hold everything, and work where nothing else of this tree is installed.

Editable installs hide forgotten files: here all distributions are built from a copy of the tree
and installed in fresh environments, which borrow third-party packages from this one.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SMOKE = Path(__file__).with_name("smoke.py")
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
LEFT_BEHIND = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "tests")


def run(*command, **settings):
    """Run a command with nothing of ours on Python's path, and return what it printed."""
    done = subprocess.run(
        list(map(str, command)), env=CLEAN, capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_tree(root, target):
    """Copy what the distributions are built from."""
    target.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, target)
    for name in ("gpt2sdk", "plugins"):
        shutil.copytree(root / name, target / name, ignore=LEFT_BEHIND)
    return target


def build(target, *projects):
    """Build wheels, and return their folder."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index"]
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", target, *projects)
    return target


def borrow(folder):
    """Link this environment's packages, without ours and without what makes them editable."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("gpt2sdk", "__editable__")) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


def install(folder, borrowed, wheels):
    """Make an environment that has these wheels, and return its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "borrowed.pth").write_text(f"{borrowed}\n")
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", *wheels)
    return python


@pytest.fixture
def smoke(tmp_path):
    """Return how to run the smoke program in an empty folder; it returns what was reported."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    return lambda python, *plugins: json.loads(run(python, SMOKE, *plugins, cwd=cwd))


@pytest.fixture(scope="module")
def wheels(root, tmp_path_factory):
    """Return the wheel of each distribution."""
    work = tmp_path_factory.mktemp("wheels")
    tree = copy_tree(root, work / "tree")
    plugins = [settings.parent for settings in tree.glob("plugins/*/pyproject.toml")]
    folder = build(work / "dist", tree, *plugins)
    return {wheel.name.split("-")[0].replace("_", "-"): wheel for wheel in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory):
    """Return a folder of the third-party packages."""
    return borrow(tmp_path_factory.mktemp("borrowed") / "packages")


def test_all_wheels_together(wheels, plugins, borrowed, smoke, tmp_path):
    python = install(tmp_path / "venv", borrowed, wheels.values())
    report = smoke(python, *plugins)

    assert {"gpt2sdk", *plugins} == set(wheels)
    assert report["package"].startswith(str(tmp_path))
    assert "generate" in run(python.with_name("gpt2sdk"), "--help", cwd=tmp_path)
    run(sys.executable, "-m", "pip", "--python", python, "check")


def test_the_core_alone(wheels, borrowed, smoke, tmp_path):
    python = install(tmp_path / "venv", borrowed, [wheels["gpt2sdk"]])

    smoke(python)


def test_one_plugin_alone(wheels, borrowed, smoke, tmp_path):
    pair = [wheels["gpt2sdk"], wheels["gpt2sdk-sampling"]]
    python = install(tmp_path / "venv", borrowed, pair)

    smoke(python, "gpt2sdk-sampling")


def test_a_forgotten_package_is_found(root, borrowed, smoke, tmp_path):
    tree = copy_tree(root, tmp_path / "tree")
    (tree / "gpt2sdk" / "components" / "__init__.py").unlink()
    wheel = next(build(tmp_path / "dist", tree).glob("*.whl"))
    python = install(tmp_path / "venv", borrowed, [wheel])

    with pytest.raises(AssertionError, match=r"No module named 'gpt2sdk\.components"):
        smoke(python)


def test_a_plugin_without_its_entry_point_is_found(wheels, root, borrowed, smoke, tmp_path):
    project = copy_tree(root, tmp_path / "tree") / "plugins" / "gpt2sdk-sampling"
    settings = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(settings.replace("entry-points.gpt2sdk", "urls"))
    wheel = next(build(tmp_path / "dist", project).glob("*.whl"))
    python = install(tmp_path / "venv", borrowed, [wheels["gpt2sdk"], wheel])

    with pytest.raises(AssertionError, match="expected the plugins"):
        smoke(python, "gpt2sdk-sampling")
