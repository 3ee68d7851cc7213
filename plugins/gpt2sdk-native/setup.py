"""Compiles the engine while the package is built; what can't be compiled fails nothing."""

import importlib.util
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

_PACKAGE = Path("src", "gpt2sdk_native")
_SPEC = importlib.util.spec_from_file_location("gpt2sdk_native_build", _PACKAGE / "build.py")
_BUILD = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BUILD)


class BuildWithEngine(build_py):
    """Puts the library beside the sources, in the tree or in the wheel."""

    def run(self):
        super().run()
        package = _PACKAGE if self.editable_mode else Path(self.build_lib, "gpt2sdk_native")
        if problem := _BUILD.build(package / "engine"):
            print(f"gpt2sdk-native: torch computes, more slowly: {problem}", file=sys.stderr)


class Wheel(bdist_wheel):
    """One wheel for every Python, since ctypes calls the library."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class Binary(Distribution):
    """Has a library for one platform."""

    def has_ext_modules(self):
        return True


setup(distclass=Binary, cmdclass={"build_py": BuildWithEngine, "bdist_wheel": Wheel})
