"""Settings of every test run: no network, one thread, checked shapes, and no GPU where none is."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import hypothesis
import jaxtyping
import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeDecorHintException

# Several workers share the cores; and sums come out alike on machines with more of them.
torch.set_num_threads(1)

# The same examples in every run, however busy the machine is.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


def checked(function):
    """Check a function's arguments and result against its annotations, where that is possible.

    It is not for a method that mentions `Self`, since jaxtyping's import hook hands over methods
    without their class, nor for protocols that are not `@runtime_checkable`.
    """
    try:
        return beartype(function)
    except BeartypeDecorHintException:
        return function


# What `--jaxtyping-packages` does; the checker has to have an import path.
sys.modules["checked_annotations"] = SimpleNamespace(checked=checked)
SHIPPED = [file.parent.name for file in Path(__file__).parent.glob("*/*/src/*/__init__.py")]
jaxtyping.install_import_hook(["gpt2sdk", *SHIPPED], "checked_annotations.checked")


def pytest_generate_tests(metafunc):
    """Run a test that takes a `runner` with each that is installed."""
    if "runner" not in metafunc.fixturenames:
        return
    # Not before the hook above, which checks what is imported from then on.
    from gpt2sdk import Runner  # noqa: PLC0415 - as it says
    from gpt2sdk.plugins.registry import Registry  # noqa: PLC0415

    made = [offer.component() for offer in Registry().offers(Runner)]
    whys = [each.probe(None, torch.device("cpu")) for each in made]
    marks = [[pytest.mark.skip(reason=f"the runner {why}")] if why else [] for why in whys]
    metafunc.parametrize(
        "runner",
        [pytest.param(each, id=each.name, marks=m) for each, m in zip(made, marks, strict=True)],
    )


@pytest.fixture
def run_by(runner):
    """Return what lets the runner have a model; one that it cannot run ends the test."""

    def prepare(model):
        if why := runner.probe(model, model.device):
            pytest.skip(f"the runner {runner.name}: {why}")
        model.prepare([runner])
        if runner.name != model.runner.name:
            pytest.fail(f"{runner.name} was to run it, and {model.runner.name} does")
        return model

    return prepare


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
