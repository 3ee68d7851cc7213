"""Which runs go on from a checkpoint, and what is said of the others."""

import json

import pytest

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import Adapters, LoRA, TrainingSettings, train
from gpt2sdk_train.checkpoints import TrainingState
from gpt2sdk_train.resumption import check_resumable, describe
from gpt2sdk_train.weights import trained_part

SETTINGS = TrainingSettings(steps=2, batch_size=4)


def made(config, lora=None, **sizes):
    model = GPT2(config.model_copy(update=sizes))
    if lora is not None:
        Adapters(model).add("tone", lora)
    return model


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (None, LoRA(), "trains all of the model, this one trains an adapter; choose another"),
        (LoRA(), None, "trains an adapter, this one trains all of the model; choose another"),
        (LoRA(), LoRA(rank=3), "h.0.attn.c_attn: rank=3: expected 8, as in the run"),
        (LoRA(), LoRA(alpha=3.0), "h.0.attn.c_attn: alpha=3.0: expected 16.0"),
        (LoRA(), LoRA(dropout=0.5), "h.0.attn.c_attn: dropout=0.5: expected 0.0"),
        (LoRA(), LoRA(rank_stabilized=True), "rank_stabilized=True: expected False"),
        (LoRA(), LoRA(targets="h.0.attn.*"), "targets='h.0.attn.c_attn, h.0.attn.c_proj': expe"),
    ],
)
def test_a_run_that_trains_something_else_does_not_go_on(
    config, tokenizer, documents, before, now, message, tmp_path
):
    train(made(config, before), tokenizer, documents, SETTINGS, output=tmp_path)
    more = SETTINGS.model_copy(update={"steps": 3})

    with pytest.raises(OptionError, match=message):
        train(made(config, now), tokenizer, documents, more, output=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_head": 4}, "n_head=4: expected 2, as in the run"),
        ({"n_layer": 1}, "n_layer=1: expected 2, as in the run"),
        ({"activation_function": "relu"}, "activation_function='relu': expected 'gelu_new'"),
        ({"resid_pdrop": 0.5}, "resid_pdrop=0.5: expected 0.1"),
    ],
)
def test_another_model_does_not_go_on(config, tokenizer, documents, sizes, message, tmp_path):
    train(made(config), tokenizer, documents, SETTINGS, output=tmp_path)

    with pytest.raises(OptionError, match=message):
        train(made(config, **sizes), tokenizer, documents, SETTINGS, output=tmp_path, resume=True)


def test_what_a_model_is_called_is_no_matter(config, tokenizer, documents, tmp_path):
    train(made(config, LoRA(base_model="a")), tokenizer, documents, SETTINGS, output=tmp_path)
    more = SETTINGS.model_copy(update={"steps": 3})
    renamed = made(config, LoRA(base_model="b"), dtype="float32", use_cache=False)

    assert 3 == train(renamed, tokenizer, documents, more, output=tmp_path, resume=True).step


def test_a_run_is_not_made_shorter_than_it_is(config, tokenizer, documents, tmp_path):
    train(made(config), tokenizer, documents, SETTINGS, output=tmp_path)
    fewer = SETTINGS.model_copy(update={"steps": 1})

    with pytest.raises(OptionError, match="steps=1: expected at least the 2 that the run here has"):
        train(made(config), tokenizer, documents, fewer, output=tmp_path, resume=True)


@pytest.mark.parametrize(("dropout", "agree"), [(0.1, False), (0.0, True)])
def test_with_dropout_the_number_of_processes_counts(config, tokenizer, dropout, agree):
    model = made(config, resid_pdrop=dropout, embd_pdrop=0.0, attn_pdrop=0.0)
    weights, _ = trained_part(model, tokenizer, ())
    one, two = (
        TrainingState(0, {}, ("", ""), describe(model, weights, processes)) for processes in (1, 2)
    )

    if agree:
        check_resumable(one, two, steps=1)
    else:
        with pytest.raises(OptionError, match="processes=2: expected 1, as in the run"):
            check_resumable(one, two, steps=1)


def test_a_checkpoint_says_what_was_trained(config, tokenizer, documents, tmp_path):
    train(made(config, LoRA(rank=3)), tokenizer, documents, SETTINGS, output=tmp_path)
    file = tmp_path / "checkpoints" / "step-00000002" / "training_state.json"
    trained = json.loads(file.read_text())["trained"]

    assert "an adapter" == trained["kind"]
    assert 3 == trained["adapter"]["h.1.attn.c_attn"]["rank"]
    assert 16 == trained["config"]["n_embd"]
