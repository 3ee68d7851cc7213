"""Output is safe, on any terminal and where no one watches."""

import io
import signal
import sys
import threading

import pytest

from gpt2sdk.cli import terminal
from gpt2sdk.cli.interruption import cancelling


class Screen(io.TextIOWrapper):
    """A terminal that keeps what it is sent."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    def isatty(self):
        return True

    def shown(self):
        self.flush()
        return self.buffer.getvalue()


def test_a_terminal_gets_no_control_characters_from_a_model(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)

    terminal.write("a\x1b[2J\r\x07b\tc\n\x9b")

    assert "a�[2J��b\tc\n�".encode() == screen.shown()


def test_files_get_generated_text_as_it_is(capsys):
    terminal.write("a\x1b[2J\r")

    assert "a\x1b[2J\r" == capsys.readouterr().out


def test_what_an_encoding_lacks_becomes_a_question_mark(monkeypatch):
    screen = Screen("ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.secure_streams()

    terminal.write("é≥\n")
    terminal.show_json({"text": "é"})

    assert b'??\n{\n  "text": "\\u00e9"\n}\n' == screen.shown()


def test_colours_may_be_refused(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.wants_colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.wants_colours()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.wants_colours()


def test_closed_streams_are_empty(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)

    terminal.secure_streams()
    terminal.write("nowhere")
    terminal.fail("unheard")

    with sys.stdin, sys.stdout, sys.stderr:
        assert sys.stdin.read() == ""


def test_an_error_is_one_line(capsys):
    terminal.fail("first\n  second")

    assert "error: first; second\n" == capsys.readouterr().err


def test_lists_of_numbers_stand_on_one_line_of_json(capsys):
    terminal.show_json({"tokens": [1, -2], "logprobs": [-1.5e-7], "text": "[\n1\n]", "none": []})

    assert capsys.readouterr().out == (
        '{\n  "tokens": [1, -2],\n  "logprobs": [-1.5e-07],\n  "text": "[\\n1\\n]",\n'
        '  "none": []\n}\n'
    )


@pytest.fixture
def usual_handler():
    """Handle interruptions as Python does, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_handler")
def test_the_first_interruption_cancels_and_the_second_raises():
    cancel = threading.Event()

    with cancelling(cancel):
        signal.raise_signal(signal.SIGINT)
        assert cancel.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("usual_handler")
def test_ignored_interruptions_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cancel = threading.Event()

    with cancelling(cancel):
        signal.raise_signal(signal.SIGINT)

    assert not cancel.is_set()
