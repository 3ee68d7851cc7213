"""A generator that was used lives on in children of fork()."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")

# In a process of its own, since the one that runs the tests has threads that are none of ours.
PROGRAM = """
import asyncio, os, signal, sys, threading, time
from gpt2sdk import Generator

gen = Generator.from_pretrained("storyteller", runner=sys.argv[1])
options = {"max_new_tokens": 12, "seed": 3}
prompts = ["Once upon a time", "The king"] * 16  # enough for torch to divide its operations
wanted = gen.generate(prompts, **options).texts

async def both():
    return (await gen.agenerate(prompts, **options)).texts

assert asyncio.run(both()) == wanted
if sys.argv[2] == "busy":  # another thread is in the midst of a call
    stop = threading.Event()
    threading.Thread(
        target=lambda: asyncio.run(gen.agenerate(prompts, cancel=stop, max_new_tokens=400)),
    ).start()
    time.sleep(0.2)

child = os.fork()
if not child:
    signal.alarm(60)
    same = gen.generate(prompts, **options).texts == wanted and asyncio.run(both()) == wanted
    os._exit(0 if same else 1)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if sys.argv[2] == "busy":
    stop.set()
print("child:", ended, gen.generate(prompts, **options).texts == wanted)
"""


@pytest.mark.parametrize("computing", ["torch", "native"])
@pytest.mark.parametrize("parent", ["idle", "busy"])
def test_a_child_writes_what_its_parent_writes(computing, parent):
    pytest.importorskip("gpt2sdk_storyteller", reason="a model that is installed")
    if computing == "native":
        pytest.importorskip("gpt2sdk_native", reason="the compiled engine")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, computing, parent],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.stdout == "child: 0 True\n", done.stderr
