"""While a model is loaded, memory that is freed goes back to the system."""

import platform
import subprocess
import sys

import pytest

from gpt2sdk.allocator import tight_memory

HOLES = """
import sys
from contextlib import nullcontext
from pathlib import Path
import torch
from gpt2sdk.allocator import tight_memory

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) // 1024

torch.ones(20 * 2**20, dtype=torch.uint8)   # glibc's limit follows what is freed
before = anonymous()
with tight_memory() if sys.argv[1] == "tight" else nullcontext():
    kept = []
    for _ in range(50):
        passing = torch.ones(2 * 2**20, dtype=torch.uint8)
        kept.append(torch.ones(2**14, dtype=torch.uint8))
        kept.append(passing)
    kept = kept[::2]
    del passing
print(anonymous() - before)
"""


def growth(how):
    run = subprocess.run(
        [sys.executable, "-c", HOLES, how], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_small_tensors_do_not_hold_large_ones_back():
    assert growth("tight") < 10
    assert growth("as ever") > 50


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with tight_memory():
        pass


def test_what_is_raised_inside_comes_out():
    with pytest.raises(ZeroDivisionError), tight_memory():
        raise ZeroDivisionError
