"""`gpt2sdk plugins`: what is installed; and the commands that plugins add."""

import json

import pytest

from gpt2sdk.plugins.unused import command_remedy

COMMANDS = '''
import typer

from gpt2sdk import OptionError, hookimpl


@hookimpl
def gpt2sdk_cli(app):
    @app.command()
    def shout(word: str):
        """Say a word loudly."""
        if word == "no":
            raise OptionError("not this word")
        print(word.upper())

    @app.command()
    def generate():
        print("not the built-in one")

    @app.command()
    def unfit(value: object()):
        pass

    count = typer.Typer()
    app.add_typer(count, name="count")

    @count.command()
    def up():
        print("1 2 3")

    @count.command()
    def down():
        raise ZeroDivisionError("never")
'''


def test_each_plugin_says_what_it_offers(invoke):
    printed = invoke("plugins").stdout

    assert "gpt2sdk  gpt2sdk 0.1.0  active\n" in printed
    assert "strategies  gpt2sdk-strategies 0.1.0  active\n" in printed
    assert "drafters  gpt2sdk-drafters 0.1.0  active\n" in printed
    assert "  drafter  corpus, draft_model, early_exit, prompt_lookup, suffix\n" in printed
    assert "gpt2sdk_strategies/__init__.py\n" in printed


def test_a_broken_plugin_is_listed_and_not_fatal(invoke, installed):
    installed("broken-acme", "import acme_core", "2.0")

    ran = invoke("plugins")

    reason = "ModuleNotFoundError: No module named 'acme_core'"
    assert (0, "") == (ran.exit_code, ran.stderr)
    assert f"broken_acme  broken-acme 2.0  failed\n  {reason}\n" in ran.stdout


def test_other_commands_warn_of_a_broken_plugin_once(invoke, installed, model):
    installed("broken-acme", "import acme_core", "2.0")

    ran = invoke("generate", model, "Once", "-q", "--max-new-tokens", "2")

    assert 0 == ran.exit_code
    assert ran.stderr.startswith("warning: the plugin broken-acme 2.0 is left out: ")
    assert 1 == ran.stderr.count("\n")


def test_what_the_environment_excludes_is_listed(invoke, monkeypatch):
    monkeypatch.setenv("GPT2SDK_PLUGINS", "sampling,nothing")
    plugins = {each["name"]: each for each in json.loads(invoke("plugins", "--json").stdout)}

    assert {"gpt2sdk": "active", "sampling": "active", "stopping": "excluded"}.items() <= {
        name: each["status"] for name, each in plugins.items()
    }.items()
    assert plugins["nothing"]["status"] == "missing"


def test_json_has_all_fields(invoke, rules):
    plugins = json.loads(invoke("plugins", "--json", "--plugin", rules).stdout)
    (own,) = [each for each in plugins if each["name"] == "rules.py"]

    assert own == {
        "name": "rules.py",
        "distribution": "",
        "version": "",
        "status": "active",
        "reason": "",
        "file": rules,
        "components": ["logits processor:fail"],
        "commands": [],
        "hooks": ["gpt2sdk_components"],
    }


def test_plugins_add_commands(invoke, installed):
    installed("loud", COMMANDS)

    assert "HELLO\n" == invoke("shout", "hello").stdout
    assert "1 2 3\n" == invoke("count", "up").stdout
    assert "Say a word loudly." in invoke("shout", "--help").stdout


def test_help_lists_the_commands_of_plugins_behind_the_built_in_ones(invoke, installed):
    installed("loud", COMMANDS)

    printed = invoke("--help").stdout

    assert "\n  shout       Say a word loudly.\n" in printed
    assert 1 == printed.count("\n  generate ")
    assert printed.index("\n  score ") < printed.index("\n  shout ")


def test_help_warns_of_a_broken_plugin_and_lists_the_others(invoke, installed):
    installed("broken-acme", "import acme_core", "2.0")
    installed("loud", COMMANDS)

    ran = invoke("--help")

    assert 0 == ran.exit_code
    assert "\n  shout " in ran.stdout
    assert "warning: the plugin broken-acme 2.0 is left out: " in ran.stderr


@pytest.mark.parametrize("command", ["train", "merge", "measure"])
def test_a_command_of_a_plugin_that_is_not_used_says_where_it_is(invoke, command):
    home = "gpt2sdk-evaluation" if command == "measure" else "gpt2sdk-train"

    ran = invoke(command, "--some", "argument")

    assert 2 == ran.exit_code
    assert ran.stderr.startswith(f"error: There is no command {command!r}: it is in {home}")


def test_a_command_of_a_plugin_that_is_not_installed_says_how_to_get_it():
    assert "it is in gpt2sdk-train: pip install gpt2sdk-train" == command_remedy("train", [])
    assert "" == command_remedy("generate", [])


def test_the_list_has_the_commands_of_a_plugin(invoke, installed):
    installed("loud", COMMANDS)

    printed = invoke("plugins").stdout

    assert "loud  loud 1.0  active\n  command  shout, generate, unfit, count\n" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["shout", "no"], 2, "error: not this word\n"),
        (["count", "down"], 1, "error: ZeroDivisionError: never (gpt2sdk --debug shows where)\n"),
        (["shot"], 2, "error: No such command 'shot' (gpt2sdk --help says more)\n"),
    ],
)
def test_mistakes_in_added_commands_are_one_line(invoke, installed, arguments, code, message):
    installed("loud", COMMANDS)

    ran = invoke(*arguments)

    assert (code, message) == (ran.exit_code, ran.stderr)


def test_built_in_commands_cannot_be_replaced(invoke, installed):
    installed("loud", COMMANDS)

    assert "Continue a prompt" in invoke("generate", "--help").stdout


RIVAL = """
from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_cli(app):
    @app.command()
    def shout():
        print("not that one")

    @app.command()
    def whisper():
        print("psst")
"""


def test_a_command_of_two_plugins_is_refused_and_both_are_named(invoke, installed):
    installed("loud", COMMANDS)
    installed("rival", RIVAL)

    for arguments in (["shout", "hello"], ["shout"], ["shout", "--loudly"]):
        ran = invoke(*arguments)
        assert (2, "") == (ran.exit_code, ran.stdout)
        assert ran.stderr == (
            "error: the command shout is added by loud 1.0, rival 1.0: uninstall one, or name in "
            "GPT2SDK_PLUGINS those to use\n"
        )
    assert "psst\n" == invoke("whisper").stdout


def test_the_list_says_which_commands_are_in_conflict(invoke, installed):
    installed("loud", COMMANDS)
    installed("rival", RIVAL)
    plugins = {each["name"]: each for each in json.loads(invoke("plugins", "--json").stdout)}

    told = "the command shout is added by loud 1.0, rival 1.0: uninstall one, or name in "
    assert told in plugins["loud"]["reason"]
    assert told in plugins["rival"]["reason"]
    assert ["shout", "whisper"] == plugins["rival"]["commands"]


OBSERVERS = """
from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_generation_started(session):
    pass


@hookimpl
def gpt2sdk_model_loaded(model):
    pass
"""


def test_the_list_has_what_a_plugin_observes(invoke, installed):
    installed("watcher", OBSERVERS)

    printed = invoke("plugins").stdout

    hooks = "gpt2sdk_generation_started, gpt2sdk_model_loaded"
    assert f"watcher  watcher 1.0  active\n  hook  {hooks}\n" in printed
