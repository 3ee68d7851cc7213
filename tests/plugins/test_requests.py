"""Plugins that are asked to do something: one does it, and what it raises is the caller's."""

from pathlib import Path

import pytest

from gpt2sdk import CheckpointError, hookimpl
from gpt2sdk.plugins.host import PluginHost

SUBJECTS = {"model": "a model", "folder": Path("tone")}


class Taker:
    """A plugin that notes what it is asked, and answers."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    @hookimpl
    def gpt2sdk_load_adapter(self, model, folder):
        self.asked.append((model, folder))
        return self.answer


class Refuser:
    """A plugin that knows the adapter, and cannot use it."""

    @hookimpl(tryfirst=True)
    def gpt2sdk_load_adapter(self, folder):
        raise CheckpointError(f"{folder}: expected another", path=folder)


def test_plugins_are_asked_until_one_does_it():
    first, second, third = Taker(answer=True), Taker(answer=True), Taker(answer=False)
    host = PluginHost([first, second, third], discover=False)

    assert host.ask("gpt2sdk_load_adapter", SUBJECTS)
    assert [("a model", Path("tone"))] == third.asked == second.asked
    assert [] == first.asked


def test_nobody_may_do_it():
    assert not PluginHost([Taker(answer=False)], discover=False).ask(
        "gpt2sdk_load_adapter", SUBJECTS
    )
    assert not PluginHost(discover=False).ask("gpt2sdk_load_adapter", SUBJECTS)


def test_what_one_raises_is_the_callers():
    taker = Taker(answer=True)

    with pytest.raises(CheckpointError, match="tone: expected another"):
        PluginHost([taker, Refuser()], discover=False).ask("gpt2sdk_load_adapter", SUBJECTS)
    assert [] == taker.asked
