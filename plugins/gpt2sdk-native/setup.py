"""Compiles the engine while the package is built; what can't be compiled fails nothing.

With GPT2SDK_NATIVE_TARGET=x86_64 or aarch64 it makes a wheel for any Linux of such processors whose
C library is not older than `build.GLIBC`. That fails where it can't be compiled.
"""

import importlib.util
import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

_PACKAGE = Path("src", "gpt2sdk_native")
_SPEC = importlib.util.spec_from_file_location("gpt2sdk_native_build", _PACKAGE / "build.py")
_BUILD = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BUILD)
_TARGET = os.environ.get("GPT2SDK_NATIVE_TARGET", "")


class BuildWithEngine(build_py):
    """Puts the library beside the sources, in the tree or in the wheel."""

    def run(self):
        super().run()
        package = _PACKAGE if self.editable_mode else Path(self.build_lib, "gpt2sdk_native")
        if not self.editable_mode:
            # A folder that was built in before may hold one for other processors.
            Path(package, "engine", _BUILD.LIBRARY).unlink(missing_ok=True)
        if problem := _BUILD.build(package / "engine", target=_TARGET):
            if _TARGET:
                raise SystemExit(problem)
            print(f"gpt2sdk-native: torch computes, more slowly: {problem}", file=sys.stderr)


class Wheel(bdist_wheel):
    """One wheel for every Python, since ctypes calls the library."""

    def get_tag(self):
        platform = f"manylinux_{_BUILD.GLIBC.replace('.', '_')}_{_TARGET}"
        return "py3", "none", platform if _TARGET else super().get_tag()[2]


class Binary(Distribution):
    """Has a library for one platform."""

    def has_ext_modules(self):
        return True


setup(distclass=Binary, cmdclass={"build_py": BuildWithEngine, "bdist_wheel": Wheel})
