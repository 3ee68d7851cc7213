"""Every contract of import-linter in pyproject.toml breaks where it should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SABOTAGE = {
    "gpt2sdk is layered": {"gpt2sdk/utils.py": "import gpt2sdk.errors"},
    "no package has a cycle": {
        "gpt2sdk/components/hen.py": "import gpt2sdk.components.egg",
        "gpt2sdk/components/egg.py": "import gpt2sdk.components.hen",
    },
    "plugins see only": {
        "plugins/gpt2sdk-sampling/src/gpt2sdk_sampling/spy.py": "import gpt2sdk.components.rows"
    },
    "plugins do not know each other": {
        "plugins/gpt2sdk-sampling/src/gpt2sdk_sampling/friend.py": "import gpt2sdk_stopping"
    },
    "options have one face": {"gpt2sdk/cli/shortcut.py": "import gpt2sdk.options.owners"},
    "pluggy stays in hookspecs": {"gpt2sdk/components/markers.py": "import pluggy"},
}


def broken_contracts(tree):
    """Return the names of the contracts that a tree breaks."""
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": ":".join(map(str, [tree, *tree.glob("plugins/*/src")]))},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in run.stdout.splitlines() if " BROKEN" in line]
    assert bool(lines) == bool(run.returncode), run.stdout + run.stderr
    return [line.partition(" BROKEN")[0] for line in lines]


def test_contracts_are_kept(root):
    assert [] == broken_contracts(root)


@pytest.mark.slow
def test_broken_contracts_are_found(root, tmp_path):
    shutil.copy(root / "pyproject.toml", tmp_path)
    for folder in ("gpt2sdk", "plugins"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.egg-*"))
    for files in SABOTAGE.values():
        for name, text in files.items():
            (tmp_path / name).write_text(text)
    broken = broken_contracts(tmp_path)

    assert [] == [name for name in SABOTAGE if not any(b.startswith(name) for b in broken)]
