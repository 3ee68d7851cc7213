"""A plugin that does not work is reported and left out, and no other one suffers."""

import logging
import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from gpt2sdk import hookimpl
from gpt2sdk.errors import PluginLoadError
from gpt2sdk.plugins.discovery import installed
from gpt2sdk.plugins.host import PluginHost
from gpt2sdk.plugins.inspection import HookManager
from gpt2sdk.plugins.origin import Status
from gpt2sdk.plugins.registry import Registry


def registry(**arguments):
    """Return a registry that sees the fake distributions only."""
    found = {each.origin.distribution for each in installed()}
    return Registry(allowed={name for name in found if name.startswith("fake")}, **arguments)


def record_of(registry, distribution):
    """Return what is known of a distribution's plugin."""
    found = [r for r in registry.plugins() if r.origin.distribution == distribution]
    assert 1 == len(found)
    return found[0]


def names(registry):
    """Return the components of the fake distributions."""
    return [o.name for o in registry.offers() if o.origin.distribution.startswith("fake")]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('out of\\n order')", "RuntimeError: out of order"),
        ("def broken(:", "SyntaxError: "),
        ("import a_module_that_is_missing", "No module named 'a_module_that_is_missing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "it has no function marked with gpt2sdk.hookimpl"),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef gpt2sdk_component(): return ()",
            "gpt2sdk_component is not a hook: did you mean gpt2sdk_components?",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef components(): return ()",
            "components is not a hook",
        ),
        (
            "def gpt2sdk_components(): return ()",
            "gpt2sdk_components is not marked with gpt2sdk.hookimpl",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl(wrapper=True)\ndef gpt2sdk_cli(): yield",
            "gpt2sdk_cli is a wrapper",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef gpt2sdk_components(wrong): return ()",
            "{'wrong'} are declared in the hookimpl but can not be found in the hookspec",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef gpt2sdk_components(): 1 / 0",
            "ZeroDivisionError: division by zero",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef gpt2sdk_components(): return 7",
            "gpt2sdk_components returned 7, not a tuple of component classes",
        ),
        (
            "from gpt2sdk import hookimpl\n@hookimpl\ndef gpt2sdk_components(): return (dict,)",
            "expected component classes and strategy functions",
        ),
    ],
)
def test_a_broken_plugin_is_left_out_and_the_others_work(install, offering, caplog, source, reason):
    install("fake-bad", source, entry_point="bad")
    install("fake-good", offering(), entry_point="good")
    plugins = registry()

    with caplog.at_level(logging.WARNING, "gpt2sdk.plugins"):
        assert ["acme"] == names(plugins)
        assert ["acme"] == names(plugins)

    record = record_of(plugins, "fake-bad")
    assert Status.FAILED is record.status
    assert reason in record.reason
    assert "\n" not in record.reason
    assert Status.ACTIVE is record_of(plugins, "fake-good").status
    messages = [r.getMessage() for r in caplog.records]
    assert [f"the plugin fake-bad 1.0 is left out: {record.reason}"] == messages


def test_an_interruption_is_not_swallowed(install):
    install("fake-bad", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        registry().plugins()


def test_a_plugin_made_for_another_version_is_not_even_imported(install, offering):
    module = install("fake-bad", "raise RuntimeError", requires=["gpt2sdk>=99"])
    install("fake-good", offering(), entry_point="good", requires=["gpt2sdk>=0.1"])
    plugins = registry()

    assert ["acme"] == names(plugins)
    record = record_of(plugins, "fake-bad")
    assert Status.INCOMPATIBLE is record.status
    assert "it needs gpt2sdk>=99, and this is gpt2sdk 0.1" in record.reason
    assert module not in sys.modules


def test_a_plugin_whose_components_are_refused_observes_nothing(install):
    install(
        "fake-bad",
        """
        from gpt2sdk import hookimpl
        seen = []

        @hookimpl
        def gpt2sdk_components():
            return (int,)

        @hookimpl
        def gpt2sdk_model_loaded(model):
            seen.append(model)
        """,
    )
    plugins = registry()
    plugins.host.notify("gpt2sdk_model_loaded", "before")
    plugins.offers()
    plugins.host.notify("gpt2sdk_model_loaded", "after")

    assert ["before"] == sys.modules["fake_bad"].seen


def test_two_distributions_with_one_entry_point_name_are_both_left_out(install, offering):
    install("fake-good", offering("Good", "good"))
    install("fake-bad", offering("Bad", "bad"), version="2.0")
    install("fake-other", offering("Other", "other"), entry_point="other")
    plugins = registry()

    assert ["other"] == names(plugins)
    records = [record_of(plugins, name) for name in ("fake-good", "fake-bad")]
    assert [Status.CONFLICT] * 2 == [record.status for record in records]
    assert "fake-bad 2.0 has an entry point acme as well" in records[0].reason
    assert "fake-good 1.0 has an entry point acme as well" in records[1].reason


def test_the_allow_list_settles_a_conflict(install, offering):
    install("fake-good", offering("Good", "good"))
    install("fake-bad", offering("Bad", "bad"))

    assert ["good"] == names(Registry(allowed=["fake_good"]))


@pytest.mark.parametrize("allowed", ["fake-good", "Fake_Good", "one", "one,fake-good"])
def test_plugins_are_allowed_by_either_name(install, offering, monkeypatch, allowed):
    install("fake-good", offering("Good", "good"), entry_point="one")
    module = install("fake-bad", offering("Bad", "bad"), entry_point="two")
    monkeypatch.setenv("GPT2SDK_PLUGINS", allowed)
    plugins = Registry()

    assert ["good"] == names(plugins)
    assert Status.EXCLUDED is record_of(plugins, "fake-bad").status
    assert "GPT2SDK_PLUGINS does not name it" == record_of(plugins, "fake-bad").reason
    assert module not in sys.modules


def test_an_empty_allow_list_leaves_the_core(install, offering, monkeypatch):
    install("fake-good", offering())
    monkeypatch.setenv("GPT2SDK_PLUGINS", "")

    assert {"gpt2sdk"} == {offer.origin.distribution for offer in Registry().offers()}


def test_unknown_names_in_the_allow_list_are_reported(monkeypatch, caplog):
    monkeypatch.setenv("GPT2SDK_PLUGINS", "gone,gpt2sdk")
    with caplog.at_level(logging.WARNING, "gpt2sdk.plugins"):
        records = PluginHost().records()

    missing = [record for record in records if record.status is Status.MISSING]
    assert ["gone"] == [record.origin.plugin for record in missing]
    assert "GPT2SDK_PLUGINS names it, but it is not installed" in caplog.text


def test_records_say_where_a_plugin_is_and_what_it_does(install, offering, tmp_path):
    install("fake-good", offering())
    record = record_of(registry(), "fake-good")

    assert str(tmp_path / "site" / "fake_good.py") == record.file
    assert ("gpt2sdk_components",) == record.hooks
    assert ("logits processor:acme",) == record.components
    assert "1.0" == record.origin.version


def test_nothing_is_imported_before_it_is_needed(install, offering, tmp_path):
    install("fake-good", offering())
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from gpt2sdk.plugins.registry import default_registry\n"
        "registry = default_registry()\n"
        "assert 'fake_good' not in sys.modules\n"
        "registry.host.notify('gpt2sdk_cli', None)\n"
        "assert 'fake_good' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
        "registry.offers()\n"
        "assert 'torch' in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_module_that_imports_lazily_is_not_searched(install):
    install(
        "fake-good",
        """
        from gpt2sdk import hookimpl

        @hookimpl
        def gpt2sdk_components():
            return ()

        def __getattr__(name):
            raise RuntimeError(name)

        def __dir__():
            return ["gpt2sdk_components", "Heavy"]
        """,
    )

    assert Status.ACTIVE is record_of(registry(), "fake-good").status


def test_only_names_of_hooks_are_looked_at():
    class Lazy:
        @property
        def heavy(self):
            raise RuntimeError

        @hookimpl
        def unrelated(self):
            """Is marked, but no hook."""

    assert HookManager().parse_hookimpl_opts(Lazy(), "heavy") is None
    assert HookManager().parse_hookimpl_opts(Lazy(), "unrelated") is None


class Plugin:
    """A plugin that is an object."""

    @hookimpl
    def gpt2sdk_model_loaded(self, model):
        """Look at the model."""


def module_of(source, name="one_file"):
    """Return a module made of a source text."""
    module = ModuleType(name)
    exec(source, vars(module))  # noqa: S102 - a plugin in one file
    return module


def test_a_module_is_a_plugin_without_packaging(offering):
    plugins = Registry([module_of(offering())], discover=False)

    assert "one_file" == next(o for o in plugins.offers() if o.name == "acme").origin.plugin


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (SimpleNamespace(), "it has no function marked"),
        (None, "it has no function marked"),
        (Plugin, "Plugin is a class: hand in an instance"),
    ],
)
def test_what_is_handed_in_must_be_a_plugin(plugin, reason):
    with pytest.raises(PluginLoadError, match=reason) as caught:
        PluginHost([plugin], discover=False)

    assert caught.value.plugin


def test_a_plugin_handed_in_twice_is_refused():
    watcher = Plugin()

    with pytest.raises(PluginLoadError, match="already registered"):
        PluginHost([watcher, watcher], discover=False)


def test_a_broken_plugin_that_is_handed_in_raises_whenever_it_is_needed(offering):
    module = module_of(offering().replace("return", "raise OSError #"))
    plugins = Registry([module], discover=False)

    for _ in range(2):
        with pytest.raises(PluginLoadError, match="one_file cannot be used as a plugin: OSError"):
            plugins.offers()


def test_an_installed_plugin_that_is_handed_in_as_well_counts_once(install, offering):
    module = install("fake-good", offering())
    plugins = registry(plugins=[__import__(module)])

    assert ["acme"] == names(plugins)
    assert Status.ACTIVE is record_of(plugins, "fake-good").status


def test_a_plugin_that_asks_for_components_while_it_is_asked_is_reported():
    plugins = []

    @hookimpl
    def gpt2sdk_components():
        return plugins[0].offers()

    nosy = ModuleType("nosy")
    nosy.gpt2sdk_components = gpt2sdk_components
    plugins.append(Registry([nosy], discover=False))

    with pytest.raises(PluginLoadError, match="while it was being loaded"):
        plugins[0].offers()


def test_threads_that_look_at_once_load_once(install):
    install(
        "fake-good",
        """
        import time
        from gpt2sdk import hookimpl
        calls = []

        @hookimpl
        def gpt2sdk_components():
            calls.append(1)
            time.sleep(0.05)
            return ()
        """,
    )
    plugins = registry()
    threads = [threading.Thread(target=plugins.offers) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] == sys.modules["fake_good"].calls


def test_threads_that_ask_at_once_get_the_whole_answer(install, offering):
    install("fake-good", "import time\ntime.sleep(0.1)\n" + offering())
    host = registry().host
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(len(host.records()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(host.records())] * 4 == answers
