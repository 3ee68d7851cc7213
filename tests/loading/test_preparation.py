"""Which runner computes a loaded model's scores, and what is said of it."""

from typing import ClassVar

import pytest

from gpt2sdk import Generator, OptionError, Runner, hookimpl
from gpt2sdk.gpt2 import TorchRunner
from gpt2sdk.loading import LoadSettings, plan_load
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import save_tiny_model


class Fast(Runner):
    """Runs like torch, where it may."""

    order: ClassVar[int] = 3
    refuses: ClassVar[str | None] = None

    def probe(self, model, device):
        return self.refuses

    def prepare(self, model):
        return TorchRunner().prepare(model)


class Slow(Fast):
    """Comes behind the torch functions."""

    order: ClassVar[int] = 101


class Absent(Fast):
    """Runs nothing."""

    order: ClassVar[int] = 2
    refuses: ClassVar[str | None] = "there is no compiler"


class Plugin:
    """Offers them all."""

    @hookimpl
    def gpt2sdk_components(self):
        return Slow, Fast, Absent


@pytest.fixture
def load(tmp_path):
    folder = tmp_path / "model"
    save_tiny_model(folder)

    def loaded(**settings):
        return Generator.from_pretrained(folder, plugins=[Plugin()], **settings)

    return loaded


def test_the_first_that_can_is_chosen_and_named(load):
    generator = load()

    assert "fast" == generator.model.runner.name
    assert "runner: fast" in generator.notes
    assert "not the runner absent: there is no compiler" in generator.notes


@pytest.mark.parametrize("asked", ["torch", TorchRunner()], ids=["by name", "itself"])
def test_a_runner_can_be_chosen(load, asked):
    assert isinstance(load(runner=asked).model.runner, TorchRunner)


def test_one_that_cannot_run_is_an_error_with_its_reason(load):
    with pytest.raises(OptionError, match=r"absent.* there is no compiler; leave it out"):
        load(runner="absent")
    with pytest.raises(OptionError, match="runner"):
        load(runner="nobody")


def test_runners_write_what_torch_writes(load):
    written = {
        name: load(runner=name).generate("a", max_new_tokens=8, seed=1).text
        for name in ("fast", "torch")
    }

    assert written["torch"] == written["fast"]


def test_a_plan_names_those_that_run_here(tmp_path):
    folder = tmp_path / "model"
    save_tiny_model(folder)
    plan = plan_load(folder, LoadSettings(), registry=Registry([Plugin()]))

    assert "absent" not in plan.runners
    assert plan.runners.index("fast") < plan.runners.index("torch") < plan.runners.index("slow")
    assert list(plan.runners) == plan.as_dict()["runners"]
