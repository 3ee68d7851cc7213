"""What all commands have in common."""

from gpt2sdk import CheckpointError, __version__


def test_the_version_is_that_of_the_package(invoke):
    assert f"gpt2sdk {__version__}\n" == invoke("--version").stdout


def test_help_lists_every_command_with_a_sentence(invoke):
    printed = invoke("--help").stdout

    for command in ("generate", "explain", "options", "plugins", "info", "score"):
        assert f"\n  {command} " in printed
    assert printed == invoke("-h").stdout


def test_a_misspelt_command_gets_a_hint(invoke):
    ran = invoke("generat")

    assert 2 == ran.exit_code
    assert ran.stderr.startswith("error: No such command 'generat'. Did you mean 'generate'?")


def test_no_command_is_wrong_use(invoke):
    ran = invoke()

    assert (2, "error: Missing command (gpt2sdk --help says more)\n") == (ran.exit_code, ran.stderr)


def test_debug_shows_where_an_error_was_raised(invoke, monkeypatch):
    assert isinstance(invoke("--debug", "info", "./nowhere").exception, CheckpointError)
    monkeypatch.setenv("GPT2SDK_DEBUG", "1")
    assert isinstance(invoke("info", "./nowhere").exception, CheckpointError)
