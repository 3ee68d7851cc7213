"""The example package by somebody else: installed, each of its components keeps its promises."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_zoo_passes_its_check_once_installed(root, tmp_path):
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", root / "examples" / "gpt2sdk-zoo", source], check=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        *offline,
        "--target",
        tmp_path / "site",
    ]
    subprocess.run([*install, source], check=True)

    run = subprocess.run(
        [sys.executable, "-m", "gpt2sdk", "plugins", "check", "gpt2sdk-zoo", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(root)])},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(run.stdout)

    assert [] == [each for each in found if not each["passed"]]
    assert {
        *("zoo", "cite_from_prompt", "force_last_phrase", "gen_length_boost"),
        *("multiple_choice", "prevent_hallucination", "trigger_phrase"),
    } == {each["subject"] for each in found}
