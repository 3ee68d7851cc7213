"""`gpt2sdk train`, as it is typed."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

import gpt2sdk_train
from gpt2sdk import Generator, OptionError
from gpt2sdk_train import (
    Ended,
    LoRA,
    ProgressBar,
    Saved,
    Started,
    Stepped,
    TensorBoardLog,
    TrainingSettings,
    Validated,
)
from gpt2sdk_train.command import LORA_SETTINGS, SETTINGS

SMALL = ["vocab_size=290", "n_positions=16", "n_embd=16", "n_layer=1", "n_head=2"]
SIZES = [word for size in SMALL for word in ("--size", size)]
EVENTS = [
    Started(0, 2, 1000, 77, 1),
    Stepped(1, 0.5, 3.5, 1e-3, 1.25, 900.0),
    Validated(1, 3.25, 1.5, best=True),
    Saved(1, Path("folder")),
    Ended(1, "finished"),
]


@pytest.fixture
def typed(tmp_path, monkeypatch, documents):
    """Return a function that runs the command on a file `tale.txt`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tale.txt").write_text("\n".join(documents), encoding="utf-8")
    app = Typer()
    app.callback()(lambda: None)
    gpt2sdk_train.gpt2sdk_cli(app)

    def run(*words):
        result = CliRunner().invoke(app, ["train", *words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_fresh_model_is_trained_and_further_on(typed, tmp_path):
    first = typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=3", "--validation", "tale.txt")
    assert "finished after 3 steps: run/best" in first.stdout
    assert "validation loss" in first.stderr

    typed("tale.txt", "-O", "more", "-m", "run/best", "-o", "steps=2", "-o", 'freeze=["wte.*"]')
    one, other = (Generator.from_pretrained(tmp_path / name / "best") for name in ("run", "more"))
    assert one.model.config == other.model.config
    assert (one.model.wte.dense() == other.model.wte.dense()).all()


def test_an_adapter_is_trained_and_the_run_goes_on(typed, tmp_path):
    typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=2")
    words = ["tale.txt", "-O", "tone", "-m", "run/best", "--lora", "rank=2", "-o"]
    typed(*words, "steps=2")
    typed(*words, "steps=3", "--resume")

    config = json.loads((tmp_path / "tone" / "best" / "adapter_config.json").read_text())
    assert 2 == config["r"]


def test_an_interrupted_run_says_so_and_is_saved(typed, monkeypatch, tmp_path):
    def interrupt(_bar, event):
        if isinstance(event, Stepped) and event.step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ProgressBar, "__call__", interrupt)
    result = typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=9")

    assert 130 == result.exit_code
    assert "interrupted after 2 steps: run/best" in result.stdout
    assert (tmp_path / "run" / "checkpoints" / "step-00000002").is_dir()


def test_json_has_every_event(typed):
    result = typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=2", "--json")
    kinds = [json.loads(line)["event"] for line in result.stdout.splitlines()]

    assert ["started", "stepped", "stepped", "saved", "ended"] == kinds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "stepz=2"], "stepz is not an option of training_settings: did you mean steps"),
        (["-o", "learning_rate=fast"], "learning_rate should be a valid number, got 'fast'"),
        (["--lora", "rank=0"], "rank should be greater than or equal to 1, got 0"),
        (["--lora", "size=4"], "size is not an option of lora: it has rank, alpha"),
        (["--size", "vocab_size=big"], "vocab_size='big': expected a valid integer"),
        (["--size", "n_heads=3"], "n_heads: no such field of GPT2Config; did you mean n_head"),
        (["--size", "n_head=3"], "n_head=3: expected a divisor of n_embd=256"),
        (["-m", "tale", "--size", "n_embd=2"], "--size is for fresh models, and --model was given"),
    ],
)
def test_a_wrong_word_is_refused_before_any_work(typed, words, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        typed("tale.txt", "-O", "run", *words)
    assert not (tmp_path / "run").exists()


def test_a_fresh_model_has_as_many_tokens_as_its_tokenizer(typed):
    typed("tale.txt", "-O", "run", *SIZES, "--size", "vocab_size=4096", "-o", "steps=1")
    generator = Generator.from_pretrained("run/best")

    assert generator.tokenizer.vocab_size == generator.model.vocab_size < 4096


def test_the_output_is_looked_at_before_the_text(typed, tmp_path):
    typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=1")
    with pytest.raises(OptionError, match="expected a folder without checkpoints"):
        typed("no-such-file.txt", "-O", "run", *SIZES)
    with pytest.raises(OptionError, match=r"output='tale.txt': expected a folder"):
        typed("no-such-file.txt", "-O", "tale.txt", "--tensorboard")


def test_one_pattern_is_typed_as_it_is(typed, tmp_path):
    typed("tale.txt", "-O", "run", *SIZES, "-o", "steps=1", "-o", "freeze=wte.*")
    state = tmp_path / "run" / "checkpoints" / "step-00000001" / "training_state.json"

    assert ["wte.*"] == json.loads(state.read_text())["settings"]["freeze"]


def test_the_help_lists_all_settings():
    assert list(TrainingSettings.model_fields) == SETTINGS.split(", ")
    assert list(LoRA.model_fields) == LORA_SETTINGS.split(", ")


def test_a_pair_needs_its_equals_sign(typed):
    result = typed("tale.txt", "-O", "run", "-o", "steps")

    assert 2 == result.exit_code
    assert "expected name=value, got steps" in result.stderr


def test_the_command_is_found_and_its_help_loads_no_torch():
    program = (
        "import sys\n"
        "from gpt2sdk.cli import main\n"
        "sys.argv = ['gpt2sdk', 'train', '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert "Train a model on text" in done.stdout


def test_the_help_names_every_option(typed):
    text = typed("--help").stdout

    for word in ("--output", "--model", "--validation", "--lora", "--resume", "--tensorboard"):
        assert word in text


@pytest.mark.parametrize("terminal", [True, False])
def test_the_progress_bar_shows_loss_and_speed(terminal):
    written = io.StringIO()
    bar = ProgressBar(Console(file=written, force_terminal=terminal, width=100, color_system=None))
    for event in EVENTS:
        bar(event)

    assert "1,000 parameters on 77 tokens, steps 1 to 2, 1 process(es)" in written.getvalue()
    assert "step 1: validation loss 3.250, 1.500 bits per byte, the best" in written.getvalue()
    assert terminal == ("loss 3.500" in written.getvalue())
    assert terminal == ("900 tokens/s" in written.getvalue())


def test_a_finished_run_has_no_steps_to_make():
    written = io.StringIO()
    ProgressBar(Console(file=written, width=100))(Started(2, 2, 1000, 77, 1))

    assert "on 77 tokens, all 2 steps made before, 1 process(es)" in written.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_figures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoardLog(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    for event in EVENTS:
        log(event)
    read = EventAccumulator(str(tmp_path / "log"))
    read.Reload()

    assert 3.5 == read.Scalars("loss/train")[0].value
    assert 1.5 == read.Scalars("bits_per_byte")[0].value


def test_tensorboard_is_asked_for_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(OptionError, match="pip install tensorboard"):
        TensorBoardLog("folder")
