"""A user's first program, run by test_wheels.py where only wheels are installed.

`python smoke.py [distribution …]` expects exactly these plugins.
"""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import gpt2sdk


def main(distributions):
    """Look at the plugins, generate with a tiny model, and report as JSON."""
    expected = {name.replace("-", "_") for name in distributions}
    found = {entry.value for entry in entry_points(group="gpt2sdk")}
    assert expected == found, f"expected the plugins {expected}, found {found}"

    from gpt2sdk.testing import save_tiny_model

    save_tiny_model("tiny")
    generator = gpt2sdk.Generator.from_pretrained("tiny")
    options = {"top_p": 0.9} if "gpt2sdk_sampling" in found else {}
    result = generator.generate("Once", max_new_tokens=8, seed=7, **options)
    assert result.completions[0].tokens

    report = {"package": str(Path(gpt2sdk.__file__).parent), "text": result.text}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
