"""On an accelerator no component mixes devices, or makes one wait.

Torch cannot forget a kind of device again, so this file runs itself as a program.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpt2sdk import LogitsProcessor
from gpt2sdk.testing import reads_of


class Peeking(LogitsProcessor):
    """Reads a number."""

    def process(self, logits, rows):
        return logits - logits.amax().item()


class Mixing(LogitsProcessor):
    """Adds a tensor of the CPU."""

    def process(self, logits, rows):
        return logits + torch.ones(logits.shape[1])


def failures():
    """Say what went wrong with which component."""
    from test_sampling_conformance import ALLOWED, COMPONENTS

    for component in [*COMPONENTS, ALLOWED, Peeking(), Mixing()]:
        for vocab_size in (29, 5000):
            try:
                if reads_of(component, vocab_size=vocab_size):
                    yield f"{component.name} reads"
            except (RuntimeError, TypeError, AssertionError) as error:
                yield f"{component.name} raises {type(error).__name__}"


@pytest.mark.slow
def test_no_component_mixes_devices_or_waits_and_one_that_does_is_found():
    program = [sys.executable, str(Path(__file__))]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    expected = ["mixing raises FakeTensorDeviceMismatchError", "peeking reads"]
    assert expected == sorted(set(done.stdout.splitlines()))


if __name__ == "__main__":
    sys.stdout.write("\n".join(failures()))
