"""Programs in C that use the engine: the same bits on other processors, and without memory."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gpt2sdk_native.build import LIBRARY, SOURCES, compilers, link, machine
from gpt2sdk_native.library import kernels

HERE = Path(__file__).parent
CROSS = "aarch64-linux-gnu-gcc"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the engine is for Linux")


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def usable():
    found = []
    for name in ("avx512", "avx2", "neon", "scalar"):
        try:
            kernels(name)
            found.append(name)
        except OSError:
            pass
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Return a function that links a program with this machine's library."""
    if not compilers():
        pytest.skip("there is no C compiler")

    def made(name):
        path = tmp_path_factory.mktemp("programs") / name
        source, library = HERE / f"{name}.c", SOURCES / LIBRARY
        flags = "-std=c11", "-ffp-contract=off", "-fno-builtin", f"-I{SOURCES}"
        done = run(*compilers()[0], *flags, source, library, f"-Wl,-rpath,{SOURCES}", "-o", path)
        assert not done.returncode, done.stderr
        return path

    return made


@pytest.fixture(scope="module")
def bits(program):
    path = program("bits")

    def printed(isa, threads):
        done = run(path, isa, threads)
        assert (0, f"{isa}\n") == (done.returncode, done.stderr)
        return done.stdout.splitlines()

    return printed


@pytest.mark.slow
def test_every_instruction_set_prints_the_same_bits(bits):
    first = bits("scalar", 1)

    assert 13 + 5 * 5 == len(set(first))
    for isa in usable():
        for threads in (1, 3):
            assert first == bits(isa, threads)


def arm(tmp_path):
    """Return the program for 64-bit Arm, or skip."""
    if shutil.which(CROSS):
        command = [CROSS]
    elif find_spec("ziglang"):
        command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    else:
        pytest.skip(f"there is neither {CROSS} (package gcc-aarch64-linux-gnu) nor ziglang")
    made = tmp_path / "bits"
    problem = link(command, made, ["-static"], "aarch64", [HERE / "bits.c"])
    assert not problem
    return made


@pytest.mark.slow
@pytest.mark.skipif(machine() == "aarch64", reason="this machine has NEON itself")
@pytest.mark.parametrize("isa", ["neon", "scalar"])
def test_64_bit_arm_prints_the_same_bits(bits, tmp_path, isa):
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("there is no qemu-aarch64 (package qemu-user)")
    done = run(emulator, arm(tmp_path), isa, 1)

    assert (0, f"{isa}\n") == (done.returncode, done.stderr)
    assert bits(usable()[0], 1) == done.stdout.splitlines()


def test_memory_that_is_missing_is_said(program):
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("the address sanitizer takes memory in the place of this program")
    done = run(program("starve"))

    assert (0, "") == (done.returncode, done.stderr)
    assert [f"kind {kind}: every failure was said" for kind in range(4)] == done.stdout.splitlines()
