"""Clients that stall, hang up and send rubbish, and a component that raises: for a few seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[3] / "benchmarks" / "soak_serve.py"


@pytest.mark.slow
def test_random_clients_get_what_is_theirs_and_the_server_stays():
    command = [sys.executable, str(SOAK), "--seconds", "15", "--cases", "30", "--clients", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    seen = report["answers"]
    assert report["alive"]
    assert report["idle_at_the_end"]
    assert report["wrong"] == []
    for kind in ("right", "right so far", "failed as it was to", "rubbish 400", "hung up at once"):
        assert seen[kind], kind
