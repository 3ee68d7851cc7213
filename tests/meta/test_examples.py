"""Examples and the demo run as they stand, and an example is short."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
MOST_LINES = 60


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("playground")
def test_example_runs(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")

    assert capsys.readouterr().out
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.slow
@pytest.mark.parametrize("model", ["storyteller", "gpt2"])
@pytest.mark.usefixtures("playground")
def test_demo_runs(model, root):
    given = [] if model == "storyteller" else [model]
    command = [sys.executable, root / "scripts" / "demo.py", *given]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert 2 == run.stdout.count("Once upon a time")
    assert run.stdout.startswith(f"{model}: ")
