"""Runs: what they change and leave, how they end, and how they go on."""

import json
import math
import os
import signal

import pytest
import torch

from gpt2sdk import CheckpointError, Generator, GPT2Config, OptionError, Tokenizer, TokenizerError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import (
    Ended,
    Objective,
    PackedTokens,
    Saved,
    Started,
    Stepped,
    TrainingError,
    TrainingSettings,
    Validated,
    score,
    train,
)


def events_of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def perplexity(model, tokenizer, documents):
    packed = PackedTokens.encode(documents, tokenizer)
    return score(Objective(model), packed, size=model.context_length).perplexity


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_training_lowers_the_perplexity_of_its_text(model, tokenizer, documents, tmp_path):
    before = perplexity(model, tokenizer, documents)
    settings = TrainingSettings(steps=60, learning_rate=1e-2, batch_size=8)
    result = train(model, tokenizer, documents, settings, output=tmp_path)

    assert perplexity(model, tokenizer, documents) < before / 4
    assert ("finished", 60, None) == (result.reason, result.step, result.best)
    assert not model.training


def test_the_result_is_a_model_that_generates(model, tokenizer, documents, settings, tmp_path):
    result = train(model, tokenizer, documents, settings, output=tmp_path / "new" / "run")
    generator = Generator.from_pretrained(result.folder)

    assert tmp_path / "new" / "run" / "best" == result.folder
    assert generator.generate("the cat", max_new_tokens=3, min_new_tokens=0).text is not None
    kept = generator.model.state_dict()
    assert all(torch.equal(each, kept[name]) for name, each in model.state_dict().items())
    assert not list(result.folder.glob("training*"))


@pytest.mark.parametrize("named", [{}, {"eos_token_id": None}, {"eos_token_id": 271}])
def test_what_ends_documents_ends_the_saved_model(tokenizer, documents, settings, tmp_path, named):
    sizes = {"vocab_size": tokenizer.vocab_size, "n_positions": 16, "n_embd": 16, "n_layer": 1}
    model = GPT2(GPT2Config(**sizes, n_head=1, **named))
    result = train(model, tokenizer, documents, settings, output=tmp_path)
    packed = PackedTokens.encode(documents, tokenizer)
    written = json.loads((result.folder / "generation_config.json").read_text())

    assert packed.tokens[-1].item() in Generator.from_pretrained(result.folder).eos_token_ids
    assert tokenizer.eos_token_id == written["eos_token_id"]


def test_chat_templates_and_generation_settings_outlive_training(
    config, tokenizer, documents, settings, tmp_path
):
    tokenizer.save(tmp_path)
    (tmp_path / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/tool.jinja"):
        (tmp_path / name).write_text(name)
    generation = {"temperature": 0.7, "eos_token_id": config.eos_token_id}
    model = GPT2(config.model_copy(update={"generation": generation}))
    tokenizer = Tokenizer.from_folder(tmp_path)
    folder = train(model, tokenizer, documents, settings, output=tmp_path / "run").folder

    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*.jinja")}
    assert {"chat_template.jinja", "additional_chat_templates/tool.jinja"} == names
    assert generation == json.loads((folder / "generation_config.json").read_text())


@pytest.mark.parametrize(
    "changes", [{}, {"mixed_precision": "bf16"}, {"optimizer": "muon"}], ids=str
)
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    config, tokenizer, documents, settings, weights_of, changes, tmp_path
):
    settings = settings.model_copy(update=changes)
    whole, halved = GPT2(config), GPT2(config)
    expected = train(
        whole, tokenizer, documents, settings, output=tmp_path / "whole", validation=documents[:2]
    )

    def interrupt(event):
        if isinstance(event, Stepped) and event.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    def go_on(model, *observers):
        return train(
            model,
            tokenizer,
            documents,
            settings,
            output=tmp_path / "halved",
            validation=documents[:2],
            observers=observers,
            resume=True,
        )

    assert "interrupted" == go_on(halved, interrupt).reason
    got = go_on(GPT2(config, seed=9))
    fresh = Generator.from_pretrained(got.folder).model

    assert (expected.best, expected.step) == (got.best, got.step)
    assert torch.equal(weights_of(whole), weights_of(fresh))
    lines = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "halved")]
    losses = [
        [
            event["loss"]
            for event in map(json.loads, text.splitlines())
            if event["event"] == "stepped"
        ]
        for text in lines
    ]
    assert losses[0] == losses[1]


def test_the_same_seed_gives_the_same_weights(
    config, tokenizer, documents, settings, weights_of, tmp_path
):
    def trained(name, seed):
        model = GPT2(config)
        torch.manual_seed(len(name))
        chosen = settings.model_copy(update={"seed": seed})
        train(model, tokenizer, documents, chosen, output=tmp_path / name)
        return weights_of(model)

    assert torch.equal(trained("one", 1), trained("other", 1))
    assert not torch.equal(trained("third", 1), trained("fourth", 2))


def test_micro_batches_add_up_to_the_batch(config, tokenizer, documents, weights_of, tmp_path):
    still = config.model_copy(update={"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0})

    def trained(name, size):
        model = GPT2(still)
        settings = TrainingSettings(steps=5, batch_size=7, micro_batch_size=size)
        train(model, tokenizer, documents, settings, output=tmp_path / name)
        return weights_of(model)

    assert torch.allclose(trained("whole", 7), trained("parts", 3), atol=1e-5)


def test_training_leaves_the_callers_random_state_and_model_flags(
    model, tokenizer, documents, settings, tmp_path
):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model.wpe.requires_grad_(requires_grad=False)
    kinds = [type(module) for module in model.modules()]
    train(model, tokenizer, documents, settings, output=tmp_path)

    assert torch.equal(expected, torch.rand(1))
    assert kinds == [type(module) for module in model.modules()]
    assert [False] == list({p.requires_grad for p in model.wpe.parameters()})
    assert all(p.grad is None for p in model.parameters())
    assert not model.gradient_checkpointing


def test_frozen_parameters_stay(model, tokenizer, documents, settings, tmp_path):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    chosen = settings.model_copy(update={"freeze": ("w[tp]e.*", "h.0.*")})
    train(model, tokenizer, documents, chosen, output=tmp_path)

    stayed = {name for name, p in model.named_parameters() if torch.equal(before[name], p)}
    expected = {name for name in before if name.startswith(("wte", "wpe", "h.0."))}
    assert expected == stayed


def test_the_best_weights_are_kept(model, tokenizer, documents, tmp_path):
    events = []
    # After this rate the model is worse than before.
    settings = TrainingSettings(
        steps=9, batch_size=4, learning_rate=1.0, warmup_steps=9, evaluate_every=1, save_every=2
    )
    result = train(
        model,
        tokenizer,
        documents,
        settings,
        output=tmp_path,
        validation=documents[:3],
        observers=[events.append],
    )
    validations = events_of(Validated, events)
    lowest = min(validations, key=lambda event: event.loss)
    packed = PackedTokens.encode(documents[:3], tokenizer)

    assert lowest == result.best
    assert lowest.step < 9
    assert lowest.loss == pytest.approx(score(Objective(model), packed, size=16).loss)
    assert [f"step-{lowest.step:08}", "step-00000009"] == checkpoints(tmp_path)


def test_training_stops_early(model, tokenizer, documents, tmp_path):
    settings = TrainingSettings(
        steps=50, batch_size=4, learning_rate=1.0, evaluate_every=1, patience=3, warmup_steps=9
    )
    result = train(model, tokenizer, documents, settings, output=tmp_path, validation=documents[:3])

    assert "early_stopping" == result.reason
    assert result.best.step + 3 == result.step < 50


def test_ctrl_c_saves_and_ends(model, tokenizer, documents, settings, tmp_path):
    def interrupt(event):
        if isinstance(event, Stepped) and event.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = train(model, tokenizer, documents, settings, output=tmp_path, observers=[interrupt])

    assert ("interrupted", 4) == (result.reason, result.step)
    assert ["step-00000004"] == checkpoints(tmp_path)
    assert before == signal.getsignal(signal.SIGINT)


@pytest.fixture
def python_takes_ctrl_c():
    """Let Ctrl-C raise, as in a shell: where tests run in the background it may be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_takes_ctrl_c")
def test_a_second_ctrl_c_does_not_wait(model, tokenizer, documents, settings, tmp_path):
    def interrupt(event):
        if isinstance(event, Stepped):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(model, tokenizer, documents, settings, output=tmp_path, observers=[interrupt])


def test_observers_see_a_run_in_order(model, tokenizer, documents, settings, tmp_path):
    events = []
    train(
        model,
        tokenizer,
        documents,
        settings,
        output=tmp_path,
        validation=documents[:3],
        observers=[events.append],
    )

    kinds = [type(event) for event in events]
    assert Started is kinds[0]
    assert [Validated, Saved, Ended] == kinds[-3:]
    assert list(range(1, 13)) == [event.step for event in events_of(Stepped, events)]
    assert all(event.tokens_per_second > 0 for event in events_of(Stepped, events))
    assert [4, 8, 12] == [event.step for event in events_of(Validated, events)]
    assert Ended(12, "finished") == events[-1]


def test_epochs_become_steps(model, tokenizer, documents, tmp_path):
    events = []
    settings = TrainingSettings(epochs=1.5, batch_size=4)
    train(model, tokenizer, documents, settings, output=tmp_path, observers=[events.append])
    tokens = len(PackedTokens.encode(documents, tokenizer))

    assert math.ceil(1.5 * (tokens // 16) / 4) == events[0].steps
    assert 1.5 == pytest.approx(events_of(Stepped, events)[-1].epoch, abs=0.2)


def test_a_text_shorter_than_a_block_is_enough(model, tokenizer, tmp_path):
    settings = TrainingSettings(steps=2, batch_size=2)

    assert 2 == train(model, tokenizer, ["the cat"], settings, output=tmp_path).step


def test_gradient_checkpointing_changes_nothing(config, tokenizer, documents, weights_of, tmp_path):
    def trained(name, *, checkpointing):
        model = GPT2(config)
        settings = TrainingSettings(steps=3, gradient_checkpointing=checkpointing)
        train(model, tokenizer, documents, settings, output=tmp_path / name)
        return weights_of(model)

    one, other = trained("kept", checkpointing=False), trained("again", checkpointing=True)
    assert torch.allclose(one, other, atol=1e-6)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(
    model, tokenizer, documents, settings, tmp_path
):
    def poison(event):
        if isinstance(event, Stepped) and event.step == 6:
            model.ln_f.weight.data.fill_(torch.nan)

    with pytest.raises(
        TrainingError, match=r"step 7: the loss is nan, expected a finite"
    ) as caught:
        train(model, tokenizer, documents, settings, output=tmp_path, observers=[poison])
    good = tmp_path / "checkpoints" / "step-00000004"

    assert (6, good) == (caught.value.step, caught.value.checkpoint)
    assert str(good) in str(caught.value)
    found = Generator.from_pretrained(good).model.state_dict()
    assert all(each.isfinite().all() for each in found.values())


@pytest.mark.parametrize("place", ["weights", "optimizers", "rename"])
def test_a_full_disk_leaves_the_checkpoint_before(
    model, tokenizer, documents, settings, place, monkeypatch, tmp_path
):
    def fill(event):
        if isinstance(event, Stepped) and event.step == 5:
            monkeypatch.setattr(*target, full)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    target = {
        "weights": ("gpt2sdk_train.weights.save_pretrained",),
        "optimizers": ("torch.save",),
        "rename": ("pathlib.Path.rename",),
    }[place]
    with pytest.raises(CheckpointError, match=r"step-00000008: cannot be written: No space left"):
        train(model, tokenizer, documents, settings, output=tmp_path, observers=[fill])
    monkeypatch.undo()

    assert ["step-00000004"] == checkpoints(tmp_path)
    assert (
        12
        == train(
            GPT2(model.config), tokenizer, documents, settings, output=tmp_path, resume=True
        ).step
    )


def test_a_run_is_not_overwritten_by_accident(
    config, model, tokenizer, documents, settings, tmp_path
):
    train(model, tokenizer, documents, settings, output=tmp_path)

    with pytest.raises(OptionError, match="expected a folder without checkpoints; resume=True"):
        train(GPT2(config), tokenizer, documents, settings, output=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate=0.5: expected 0.01, as in the run"),
        ({"seed": 5}, "seed=5: expected 0, as in the run"),
    ],
)
def test_other_settings_do_not_go_on(
    model, tokenizer, documents, settings, changes, message, tmp_path
):
    train(model, tokenizer, documents, settings, output=tmp_path)
    other = settings.model_copy(update=changes)

    with pytest.raises(OptionError, match=message):
        train(model, tokenizer, documents, other, output=tmp_path, resume=True)


def test_another_text_does_not_go_on(model, tokenizer, documents, settings, tmp_path):
    train(model, tokenizer, documents, settings, output=tmp_path)

    with pytest.raises(OptionError, match=r"text: expected that of the run that goes on here"):
        train(model, tokenizer, ["another text"], settings, output=tmp_path, resume=True)


def test_a_finished_run_can_be_made_longer(config, tokenizer, documents, settings, tmp_path):
    train(GPT2(config), tokenizer, documents, settings, output=tmp_path)
    longer = settings.model_copy(update={"steps": 15})
    result = train(GPT2(config), tokenizer, documents, longer, output=tmp_path, resume=True)

    assert ("finished", 15) == (result.reason, result.step)


def test_a_damaged_checkpoint_is_named(config, tokenizer, documents, settings, tmp_path):
    train(GPT2(config), tokenizer, documents, settings, output=tmp_path)
    file = tmp_path / "checkpoints" / "step-00000012" / "training_optimizers.pt"
    file.write_bytes(file.read_bytes()[:100])

    with pytest.raises(CheckpointError, match=r"training_optimizers.pt: cannot be read"):
        train(GPT2(config), tokenizer, documents, settings, output=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_size": 17}, "block_size=17: expected at most the context window, 16"),
        ({"freeze": ("h.7.*",)}, r"freeze='h.7.\*' matches no parameter"),
        ({"freeze": ("*",)}, "nothing is left to train"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(
    model, tokenizer, documents, changes, message, tmp_path
):
    with pytest.raises(OptionError, match=message):
        train(model, tokenizer, documents, TrainingSettings(**changes), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_is_too_small_is_refused(tokenizer, documents, tmp_path):
    model = GPT2(GPT2Config(vocab_size=280, n_positions=16, n_embd=8, n_layer=1, n_head=2))

    with pytest.raises(TokenizerError, match="the tokenizer has 290 tokens, the model 280"):
        train(model, tokenizer, documents, output=tmp_path)


def test_half_precision_weights_are_refused(model, tokenizer, documents, tmp_path):
    with pytest.raises(OptionError, match="dtype='bfloat16': expected float32 weights"):
        train(model.bfloat16(), tokenizer, documents, output=tmp_path)


@pytest.mark.parametrize("text", [[], ["a"]])
def test_a_text_without_two_tokens_is_refused(model, tokenizer, text, tmp_path):
    with pytest.raises(OptionError, match="expected text of at least 2 tokens"):
        train(model, tokenizer, text, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
