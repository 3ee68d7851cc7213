"""What the tests of the repository itself look at: its files and its distributions."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    """Return the folder of the working tree."""
    return ROOT


@pytest.fixture(scope="session")
def core():
    """Return the core's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def plugins():
    """Return each plugin's pyproject.toml, by distribution."""
    files = sorted(ROOT.glob("plugins/*/pyproject.toml"))
    return {file.parent.name: tomllib.loads(file.read_text()) for file in files}


@pytest.fixture(scope="session")
def modules():
    """Return every module that is shipped."""
    return sorted([*ROOT.glob("gpt2sdk/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])


@pytest.fixture(scope="session")
def files():
    """Return every file that git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = sorted(set(filter(None, listing.stdout.split("\0"))))
    return [ROOT / name for name in names if (ROOT / name).is_file()]


@pytest.fixture
def playground(tmp_path, monkeypatch):
    """Change to a new folder that holds nothing but a tiny random model, named `gpt2`."""
    from gpt2sdk.testing import save_tiny_model

    save_tiny_model(tmp_path / "gpt2")
    monkeypatch.chdir(tmp_path)
