"""Compiling the engine: which compiler is taken, and what happens where there is none."""

import re
import shutil
import subprocess
import sys
from ctypes import CDLL, c_char_p
from importlib.util import find_spec
from pathlib import Path

import pytest

from gpt2sdk_native import build as building
from gpt2sdk_native import library as loading
from gpt2sdk_native.build import GLIBC, LIBRARY, build, compilers, sources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the engine is for Linux")
SCRIPT = Path(building.__file__)
WORKING = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -o ] && echo {name} > "$2"; shift; done
"""
BROKEN = "#!/bin/sh\necho no headers >&2\nexit 1\n"


@pytest.fixture
def only(tmp_path, monkeypatch):
    """Return a function that leaves no compilers but the given ones."""

    def leave(**scripts):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("sh", "echo"):
            (folder / name).symlink_to(shutil.which(name))
        for name, text in scripts.items():
            (folder / name).write_text(text.format(name=name))
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setattr(building, "find_spec", lambda _: None)

    return leave


def test_the_systems_compiler_comes_before_zig(only):
    only(clang=WORKING, gcc=WORKING)

    assert ["gcc", "clang"] == [Path(command[0]).name for command in compilers()]


def test_a_compiler_that_fails_is_followed_by_the_next_one(only, tmp_path):
    only(gcc=BROKEN, clang=WORKING)

    assert "" == build(tmp_path)
    assert "clang\n" == (tmp_path / LIBRARY).read_text()


def test_what_the_last_compiler_says_is_returned(only, tmp_path):
    only(gcc=BROKEN)

    assert "no headers" == build(tmp_path)
    assert not (tmp_path / LIBRARY).exists()


def test_zig_is_taken_where_there_is_nothing_else(only, monkeypatch):
    only()
    monkeypatch.setattr(building, "find_spec", lambda name: name)

    assert [[sys.executable, "-m", "ziglang", "cc"]] == compilers()


def test_without_a_compiler_a_line_says_so_and_nothing_fails(tmp_path):
    shutil.copytree(SCRIPT.parent, tmp_path / "package", ignore=shutil.ignore_patterns("*.so"))
    # Without site-packages, and so without ziglang.
    command = [sys.executable, "-I", "-S", str(tmp_path / "package" / "build.py")]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)

    assert 0 == done.returncode
    line = "gpt2sdk-native: torch computes, more slowly: there is neither a C compiler nor"
    assert f"{line} the ziglang wheel\n" == done.stderr


def test_a_library_of_other_sources_is_not_loaded(monkeypatch):
    monkeypatch.setattr(loading, "sources", lambda: "of another day")
    loading.library.cache_clear()
    try:
        with pytest.raises(OSError, match="its sources have changed: run"):
            loading.library()
    finally:
        loading.library.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ziglang") is None, reason="the ziglang wheel is not installed")
@pytest.mark.parametrize("target", ["", "x86_64", "aarch64"])
def test_zig_builds_for_this_machine_and_for_wheels(tmp_path, monkeypatch, target):
    monkeypatch.setenv("PATH", "")

    assert "" == build(tmp_path, target=target)
    made = (tmp_path / LIBRARY).read_bytes()
    if target:
        versions = [
            tuple(map(int, each.split(b"."))) for each in re.findall(rb"GLIBC_([\d.]+)", made)
        ]
        assert versions
        assert max(versions) <= tuple(map(int, GLIBC.split(".")))
    if target in {"", building.machine()}:
        function = CDLL(str(tmp_path / LIBRARY)).gpt2sdk_sources
        function.restype = c_char_p
        assert sources() == function().decode()
    assert b"\x7fELF" == made[:4]
    assert [tmp_path / LIBRARY] == list(tmp_path.iterdir())
