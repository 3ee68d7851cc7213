"""The command line as shells see it: pipes, signals, exit codes, terminals and start-up."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
ENDLESS = ("-o", "overflow=slide", "--max-new-tokens", "1000000", "--seed", "3")
LOADED = (
    "import runpy, sys\n"
    "sys.argv[0] = 'gpt2sdk'\n"
    "try:\n    runpy.run_module('gpt2sdk', run_name='__main__')\n"
    "finally:\n    print(sorted(sys.modules), file=sys.stderr)\n"
)


@pytest.fixture
def start(environment):
    """Return a function that starts a command, interruptible however the tests were started."""
    with contextlib.ExitStack() as running:

        def begin(*arguments):
            process = subprocess.Popen(
                [sys.executable, "-m", "gpt2sdk", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                # pytest may have been started with interruptions ignored, which is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield begin


def test_a_pipe_gets_the_text_only(process, model, generator):
    text = generator.generate("Once", max_new_tokens=5, seed=3).text
    ran = process("generate", model, "--max-new-tokens", "5", "--seed", "3", stdin=b"Once\n")

    assert (0, f"{text}\n".encode()) == (ran.returncode, ran.stdout)
    assert b"\x1b" not in ran.stderr


def test_interrupting_keeps_what_was_made(start, model):
    running = start("generate", model, "Once", *ENDLESS)
    first = running.stdout.read(1)

    running.send_signal(signal.SIGINT)
    rest, remarks = running.communicate(timeout=60)

    assert running.returncode == 130
    assert first
    assert rest.endswith(b"\n")
    assert b"cancelled\n" in remarks
    assert b"Traceback" not in remarks


def test_a_reader_that_goes_away_ends_it_quietly(start, model):
    running = start("generate", model, "Once", *ENDLESS)
    running.stdout.read(1)
    running.stdout.close()

    assert running.stderr.read() == b""
    assert running.wait(timeout=60) == 141


@pytest.mark.skipif(not FULL.exists(), reason=f"there is no {FULL}")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["options"]])
def test_a_full_disk_is_one_line_and_no_traceback(environment, arguments):
    with FULL.open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "gpt2sdk", *arguments],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            env=environment,
        )

    expected = b"error: the output cannot be written as a whole: No space left on device\n"
    assert (2, expected) == (ran.returncode, ran.stderr)


def test_interrupting_before_a_command_began_is_no_traceback(environment):
    interrupted = "import sys, gpt2sdk.cli\nsys.modules['gpt2sdk.cli.app'] = Late()\n"
    late = "class Late:\n    def __getattr__(self, name): raise KeyboardInterrupt\n"
    ran = subprocess.run(
        [sys.executable, "-c", f"{late}{interrupted}gpt2sdk.cli.main()"],
        check=False,
        capture_output=True,
        timeout=60,
        env=environment,
    )

    assert (130, b"cancelled\n") == (ran.returncode, ran.stderr)


def test_a_terminal_shows_the_prompt_before_the_text(model, environment, generator):
    text = generator.generate("Once", max_new_tokens=4, seed=3).text
    ours, theirs = pty.openpty()
    command = ("generate", model, "Once", "--max-new-tokens", "4", "--seed", "3", "-q")
    subprocess.run(
        [sys.executable, "-m", "gpt2sdk", *command],
        check=True,
        stdout=theirs,
        timeout=60,
        env=environment | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1000).decode()
    os.close(ours)

    assert f"\x1b[2mOnce\x1b[0m{text}\r\n" == shown


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["generate", "--help"], ["explain", "-o"]]
)
def test_help_imports_nothing_heavy(environment, arguments):
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    loaded = ran.stderr.splitlines()[-1]

    assert "'gpt2sdk.cli.app'" in loaded
    for heavy in ("torch", "transformers", "tokenizers", "numpy", "rich"):
        assert f"'{heavy}'" not in loaded
    # Only the list of all commands asks plugins for theirs.
    assert ("'pluggy'" in loaded) == (arguments == ["--help"])
