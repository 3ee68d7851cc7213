"""Observers are told what happens, and none can stop it."""

import logging

from gpt2sdk import hookimpl
from gpt2sdk.plugins.host import PluginHost
from gpt2sdk.plugins.origin import Status


class Watcher:
    """A plugin that is an object, and notes what it is told."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def gpt2sdk_model_loaded(self, model):
        self.seen.append(("loaded", model))

    @hookimpl
    def gpt2sdk_generation_started(self, session):
        self.seen.append(("started", session))

    @hookimpl
    def gpt2sdk_generation_finished(self):
        self.seen.append("finished")

    @hookimpl
    def gpt2sdk_cli(self, app):
        self.seen.append(("cli", app))


class Faulty:
    """A plugin whose observers raise."""

    @hookimpl(tryfirst=True)
    def gpt2sdk_model_loaded(self, model):
        raise ValueError("no\nidea")


def test_observers_are_told_and_may_ignore_what_they_are_told():
    watcher = Watcher()
    host = PluginHost([watcher], discover=False)

    host.notify("gpt2sdk_model_loaded", 1)
    host.notify("gpt2sdk_generation_started", 2)
    host.notify("gpt2sdk_generation_finished", 3)
    host.notify("gpt2sdk_cli", 4)

    assert [("loaded", 1), ("started", 2), "finished", ("cli", 4)] == watcher.seen


def test_an_observer_that_raises_is_noted_and_the_others_are_told(caplog):
    watcher = Watcher()
    host = PluginHost([watcher, Faulty()], discover=False)
    with caplog.at_level(logging.WARNING, "gpt2sdk.plugins"):
        host.notify("gpt2sdk_model_loaded", 1)

    assert [("loaded", 1)] == watcher.seen
    faulty = next(record for record in host.records() if record.origin.plugin == "Faulty")
    assert Status.ACTIVE is faulty.status
    assert "gpt2sdk_model_loaded raised ValueError: no idea" == faulty.reason
    assert "ValueError" in caplog.text
