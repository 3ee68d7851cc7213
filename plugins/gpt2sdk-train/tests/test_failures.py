"""What a run keeps when something goes wrong."""

import json
import os
from pathlib import Path

import pytest
import torch

from gpt2sdk import CheckpointError, Generator, OptionError
from gpt2sdk_train import (
    JsonLinesLog,
    Saved,
    Stepped,
    TrainingError,
    TrainingSettings,
    Validated,
    train,
    train_tokenizer,
)


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def is_finite(folder):
    values = Generator.from_pretrained(folder).model.state_dict().values()
    return all(each.isfinite().all() for each in values)


@pytest.mark.parametrize(("poisoned", "kept"), [(8, 4), (12, 8)], ids=["saving", "last"])
def test_weights_that_are_no_numbers_do_not_replace_the_checkpoint(
    model, tokenizer, documents, settings, poisoned, kept, tmp_path
):
    def poison(event):
        if isinstance(event, Stepped) and event.step == poisoned:
            model.ln_f.weight.data[3] = torch.nan

    with pytest.raises(TrainingError, match=rf"step {poisoned}: the ln_f.weight is nan") as caught:
        train(model, tokenizer, documents, settings, output=tmp_path, observers=[poison])

    good = tmp_path / "checkpoints" / f"step-{kept:08}"
    assert (poisoned, good) == (caught.value.step, caught.value.checkpoint)
    assert [good.name] == checkpoints(tmp_path)
    assert is_finite(good)
    assert not (tmp_path / "best").exists()


def test_weights_whose_loss_is_no_number_are_not_kept(model, tokenizer, documents, tmp_path):
    settings = TrainingSettings(steps=1, batch_size=4, learning_rate=1e30, warmup_steps=0)

    with pytest.raises(TrainingError, match="step 1: the loss after it is nan, expected a finite"):
        train(model, tokenizer, documents, settings, output=tmp_path)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert ["log.jsonl"] == [path.name for path in tmp_path.iterdir()]


def test_a_validation_that_is_no_number_is_no_best_one(
    model, tokenizer, documents, settings, tmp_path
):
    def poison(event):
        if isinstance(event, Stepped) and event.step == 8:
            model.ln_f.bias.data.fill_(torch.nan)

    events = []
    with pytest.raises(TrainingError, match="step 8: the validation loss is nan") as caught:
        train(
            model,
            tokenizer,
            documents,
            settings,
            output=tmp_path,
            validation=documents[:2],
            observers=[poison, events.append],
        )

    assert [4] == [event.step for event in events if isinstance(event, Validated)]
    assert is_finite(caught.value.checkpoint)
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()


def test_a_log_holds_no_number_that_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        JsonLinesLog(tmp_path / "log.jsonl")(Validated(1, float("nan"), 1.0, best=True))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a file that is always full")
def test_a_full_disk_while_logging_names_file_and_checkpoint(
    model, tokenizer, documents, settings, tmp_path
):
    log = tmp_path / "log.jsonl"

    def fill(event):
        if isinstance(event, Saved):
            log.unlink()
            log.symlink_to("/dev/full")

    told = []
    with pytest.raises(
        TrainingError, match=r"log.jsonl: cannot be written: No space left on device; the weights "
    ) as caught:
        train(
            model,
            tokenizer,
            documents,
            settings,
            output=tmp_path,
            observers=[fill, told.append],
        )

    assert tmp_path / "checkpoints" / "step-00000004" == caught.value.checkpoint
    assert ["Stepped", "Ended"] == [type(event).__name__ for event in told[-2:]]


def test_an_output_that_is_a_file_is_refused(model, tokenizer, documents, tmp_path):
    (tmp_path / "run").write_text("mine")

    for folder in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(OptionError, match=r"expected a folder, but .*run is a file"):
            train(model, tokenizer, documents, output=folder)
    assert "mine" == (tmp_path / "run").read_text()


def test_an_output_that_cannot_be_made_is_named(model, tokenizer, documents, monkeypatch, tmp_path):
    def refuse(*_args, **_options):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(CheckpointError, match=r"run: cannot be made: Permission denied"):
        train(model, tokenizer, documents, output=tmp_path / "run")


@pytest.mark.parametrize("training", [True, False])
def test_after_a_failure_the_model_is_in_its_former_mode(
    model, tokenizer, documents, settings, training, tmp_path
):
    def fail(event):
        if isinstance(event, Stepped):
            raise OSError("the observer's own")

    model.train(training)
    with pytest.raises(OSError, match="the observer's own"):
        train(model, tokenizer, documents, settings, output=tmp_path, observers=[fail])
    assert {training} == {module.training for module in model.modules()}


def test_a_failing_exchange_leaves_the_best_weights_before(
    config, model, tokenizer, documents, settings, monkeypatch, tmp_path
):
    train(model, tokenizer, documents, settings, output=tmp_path)
    before = (tmp_path / "best" / "model.safetensors").read_bytes()
    rename = Path.rename

    def fail(path, target):
        if path.name == ".best.new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr("pathlib.Path.rename", fail)
    longer = settings.model_copy(update={"steps": 15})
    with pytest.raises(CheckpointError, match=r"best: cannot be written: Input/output error"):
        train(type(model)(config), tokenizer, documents, longer, output=tmp_path, resume=True)
    assert before == (tmp_path / "best" / "model.safetensors").read_bytes()


def test_a_rename_is_on_the_disk_before_older_checkpoints_go(
    model, tokenizer, documents, settings, monkeypatch, tmp_path
):
    seen = []
    fsync = os.fsync

    def note(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.name == "checkpoints":
            found = sorted(each.name for each in path.iterdir())
            seen.extend([found] * found[0].startswith("step-"))
        fsync(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("which file is flushed is asked of /proc")
    monkeypatch.setattr("os.fsync", note)
    train(model, tokenizer, documents, settings, output=tmp_path)

    assert [["step-00000004"], ["step-00000004", "step-00000008"]] == seen[:2]


def test_one_text_in_place_of_several_is_refused(model, tokenizer, documents, tmp_path):
    with pytest.raises(OptionError, match="documents: expected a list of texts, got one text"):
        train(model, tokenizer, documents[0], output=tmp_path)
    with pytest.raises(OptionError, match="validation: expected a list of texts, got one text"):
        train(model, tokenizer, documents, output=tmp_path, validation=documents[0])
    with pytest.raises(OptionError, match="documents: expected a list of texts, got one text"):
        train_tokenizer(documents[0], vocab_size=290)


def test_patience_needs_a_validation_text(model, tokenizer, documents, tmp_path):
    with pytest.raises(OptionError, match="patience=3: expected 0, or a validation text"):
        train(model, tokenizer, documents, TrainingSettings(patience=3), output=tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"betas": (0.9,)}, "betas .*at least 2 items"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] should be less than 1"),
        ({"freeze": 3}, "freeze should be a list, got 3"),
    ],
)
def test_wrong_settings_are_named(fields, message):
    with pytest.raises(OptionError, match=message):
        TrainingSettings(**fields)


def test_one_pattern_needs_no_list():
    assert ("wte.*",) == TrainingSettings(freeze="wte.*").freeze


def test_the_log_is_json(model, tokenizer, documents, settings, tmp_path):
    train(model, tokenizer, documents, settings, output=tmp_path)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()

    kinds = [json.loads(line)["event"] for line in lines]
    assert ["started", "saved", "ended"] == [kinds[0], *kinds[-2:]]
