"""A whole call on an accelerator that is not there: no device is mixed, and few numbers are read.

Torch cannot forget a kind of device again, so this file runs itself as a program.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2sdk import Generator
from gpt2sdk.testing import Letters, fake_accelerator, reads_of, tiny_gpt2

CHAIN = {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 1}
STEPS = 4


def measure():
    """Return the device reads of a prefill and a step, and of whole calls, per step."""
    with fake_accelerator() as accelerator:
        model, letters = tiny_gpt2().to(accelerator.device), Letters()
        cache = model.make_cache(2)
        model.score(cache, [[1, 2, 3], [4, 5]], [1, 1])
        model.score(cache, [[1], [4]], [1, 1])
        found = {"model": accelerator.reads.copy()}
        gen = Generator(model, letters, decoder=letters, eos_token_ids=[])
        _ = gen.model_identity  # reads some of each weight, once
        calls = {"greedy": {"strategy": "greedy"}, "sample": CHAIN}
        for name, options in calls.items():
            accelerator.reads.clear()
            gen.generate([[1, 2, 3], [4, 5]], max_new_tokens=STEPS, **options)
            found[name] = accelerator.reads.copy()
    return found


@pytest.mark.slow
def test_a_model_reads_nothing_and_a_step_checks_peaks_and_takes_tokens():
    program = [sys.executable, str(Path(__file__))]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    expected = {"model": [], "greedy": ["tolist"] * 2 * STEPS, "sample": ["tolist"] * 2 * STEPS}
    assert expected == json.loads(done.stdout)


if __name__ == "__main__":
    from gpt2sdk.defaults import Greedy, Multinomial

    assert not reads_of(Greedy()) + reads_of(Multinomial(), vocab_size=5000)
    sys.stdout.write(json.dumps(measure()))
