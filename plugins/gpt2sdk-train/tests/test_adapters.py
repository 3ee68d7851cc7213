"""Adapters: what they add, and that PEFT's files mean the same here and there."""

import json
import os
import signal

import pytest
import torch

from gpt2sdk import CheckpointError, Generator, OptionError
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk_train import (
    Adapters,
    LoRA,
    Objective,
    PackedTokens,
    Stepped,
    TrainingSettings,
    score,
    train,
)

# peft asks transformers about something that it renamed.
peft_parity = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ALL = ("*.attn.c_attn", "*.attn.c_proj", "*.mlp.c_fc", "h.1.mlp.c_proj")


@pytest.fixture
def tokens(config):
    return torch.randint(config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def still(config):
    """Return a model in evaluation mode."""
    return GPT2(config).eval()


def fill(adapters, name, seed):
    """Give an adapter's matrices values, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for part in adapters.parts(name).values():
        part.up.data.normal_(0.0, 0.5, generator=generator)


def logits(model, tokens):
    with torch.no_grad():
        return model(tokens).logits


def test_a_fresh_adapter_changes_nothing_and_alone_is_trained(still, tokens):
    before = logits(still, tokens)
    Adapters(still).add("tone", LoRA(rank=3, targets=ALL))

    trained = [name for name, p in still.named_parameters() if p.requires_grad]
    assert torch.equal(before, logits(still, tokens))
    assert all(".adapters.tone." in name for name in trained)
    assert 2 * 7 == len(trained)


def test_an_adapter_adds_its_product(still):
    adapters = Adapters(still)
    adapters.add("tone", LoRA(rank=2, alpha=3.0, targets=("h.0.mlp.c_fc",)))
    fill(adapters, "tone", 1)
    layer, part = still.h[0].mlp.c_fc, adapters.parts("tone")["h.0.mlp.c_fc"]
    x = torch.randn(5, 16)

    expected = layer.base(x) + 1.5 * x @ part.down.T @ part.up.T
    assert torch.allclose(expected, layer(x), atol=1e-5)


def test_adapters_add_up_scale_and_come_off(still, tokens):
    plain = logits(still, tokens)
    adapters = Adapters(still)
    seen = {}
    for seed, name in enumerate(("one", "two")):
        adapters.add(name, LoRA(rank=2, targets=("h.1.mlp.c_proj",)))
        fill(adapters, name, seed)
    both = logits(still, tokens)
    for name, other in (("one", "two"), ("two", "one")):
        adapters.scale(other, 0.0)
        seen[name] = logits(still, tokens)
        adapters.scale(other, 1.0)

    assert not torch.allclose(seen["one"], seen["two"])
    assert torch.equal(both, logits(still, tokens))
    adapters.remove("two")
    assert torch.allclose(seen["one"], logits(still, tokens), atol=1e-6)
    adapters.remove("one")
    assert torch.equal(plain, logits(still, tokens))
    assert () == adapters.names


def test_merging_changes_no_logits_and_is_undone_exactly(still, tokens, tokenizer, tmp_path):
    adapters = Adapters(still)
    for seed, name in enumerate(("one", "two")):
        adapters.add(name, LoRA(rank=2, targets=ALL))
        fill(adapters, name, seed)
    before = logits(still, tokens)
    names = [name for name, _ in GPT2(still.config).named_parameters()]
    adapters.merge()

    assert adapters.merged
    assert names == [name for name, _ in still.named_parameters()]
    assert torch.allclose(before, logits(still, tokens), atol=1e-4)
    save_pretrained(still, still.config, tokenizer, tmp_path)
    again = Generator.from_pretrained(tmp_path).model
    assert torch.equal(logits(still, tokens), logits(again, tokens))
    with pytest.raises(OptionError, match=r"the adapters are merged: unmerge\(\) before"):
        adapters.scale("one", 2.0)
    other = Adapters(still)
    assert ("one", "two") == other.names
    other.unmerge()
    assert not adapters.merged
    assert torch.equal(before, logits(still, tokens))


def test_merged_adapters_are_not_trained(model, tokenizer, documents, tmp_path):
    adapters = Adapters(model)
    adapters.add("tone")
    adapters.merge()

    with pytest.raises(OptionError, match=r"the adapters are merged: unmerge\(\) to train one"):
        train(model, tokenizer, documents, output=tmp_path)


def test_generation_uses_adapters_as_they_are(still, tokenizer):
    plain = Generator(still, tokenizer).generate("the cat", strategy="greedy", max_new_tokens=8)
    adapters = Adapters(still)
    adapters.add("tone", LoRA(rank=4, targets=ALL))
    fill(adapters, "tone", 3)
    adapted = Generator(still, tokenizer).generate("the cat", strategy="greedy", max_new_tokens=8)
    adapters.merge()
    merged = Generator(still, tokenizer).generate("the cat", strategy="greedy", max_new_tokens=8)

    assert plain.completions[0].tokens != adapted.completions[0].tokens
    assert merged.completions[0].tokens == adapted.completions[0].tokens


def test_adapters_survive_saving_and_loading(config, still, tokens, tmp_path):
    adapters = Adapters(still)
    chosen = LoRA(
        rank=2, alpha=5.0, rank_stabilized=True, dropout=0.25, targets=ALL, base_model="a/b"
    )
    adapters.add("tone", chosen)
    fill(adapters, "tone", 3)
    adapters.save("tone", tmp_path / "tone")
    other = GPT2(config).eval()
    Adapters(other).load(tmp_path / "tone")

    assert ("tone",) == Adapters(other).names
    for path, part in Adapters(other).parts("tone").items():
        assert chosen.model_copy(update={"targets": (path,)}) == part.lora
    assert torch.equal(logits(still, tokens), logits(other, tokens))
    assert not [
        name for name, p in other.named_parameters() if "adapters" in name and p.requires_grad
    ]


@peft_parity
@pytest.mark.parametrize("stabilized", [False, True])
def test_our_adapter_gives_the_same_logits_in_peft(still, tokens, stabilized, tmp_path):
    from peft import PeftModel
    from transformers import GPT2LMHeadModel

    save_pretrained(still, still.config, None, tmp_path / "model")
    adapters = Adapters(still)
    adapters.add("tone", LoRA(rank=3, alpha=7.0, rank_stabilized=stabilized, targets=ALL))
    fill(adapters, "tone", 3)
    adapters.save("tone", tmp_path / "tone")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    theirs = PeftModel.from_pretrained(theirs, tmp_path / "tone").eval()

    with torch.no_grad():
        assert torch.allclose(logits(still, tokens), theirs(tokens).logits, atol=1e-5)


@peft_parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target_modules": ["attn.c_attn", "mlp.c_proj"], "use_rslora": True},
        {"target_modules": r".*h\.1\.(attn\.c_proj|mlp\.c_fc)"},
        {
            "target_modules": ["c_attn", "c_fc"],
            "rank_pattern": {"c_fc": 5},
            "alpha_pattern": {"h.0.mlp.c_fc": 9},
        },
    ],
    ids=str,
)
def test_a_peft_adapter_gives_the_same_logits_here(still, tokens, options, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import GPT2LMHeadModel

    save_pretrained(still, still.config, None, tmp_path / "model")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    chosen = LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", fan_in_fan_out=True, **options)
    theirs = get_peft_model(theirs, chosen).eval()
    generator = torch.Generator().manual_seed(4)
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0.0, 0.5, generator=generator)
    theirs.save_pretrained(tmp_path / "tone")
    adapters = Adapters(still)
    adapters.load(tmp_path / "tone")
    adapters.save("tone", tmp_path / "again")
    other, back = GPT2(still.config).eval(), GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    Adapters(other).load(tmp_path / "again")
    back = PeftModel.from_pretrained(back, tmp_path / "again").eval()

    with torch.no_grad():
        assert torch.allclose(theirs(tokens).logits, logits(still, tokens), atol=1e-5)
        assert torch.equal(logits(still, tokens), logits(other, tokens))
        assert torch.allclose(theirs(tokens).logits, back(tokens).logits, atol=1e-5)


def test_an_adapter_learns_and_nothing_else_changes(model, tokenizer, documents, tmp_path):
    settings = TrainingSettings(steps=40, learning_rate=2e-2, batch_size=8)
    backwards = [" ".join(reversed(document.split())) for document in documents]
    train(model, tokenizer, backwards, settings, output=tmp_path / "base")
    base = {name: p.detach().clone() for name, p in model.named_parameters()}
    adapters = Adapters(model)
    adapters.add("tone", LoRA(rank=4, dropout=0.1, targets=ALL))
    packed = PackedTokens.encode(documents, tokenizer)
    before = score(Objective(model), packed, size=16).perplexity
    result = train(model, tokenizer, documents, settings, output=tmp_path / "tone")

    assert score(Objective(model), packed, size=16).perplexity < before / 2
    files = sorted(path.name for path in result.folder.iterdir())
    assert ["adapter_config.json", "adapter_model.safetensors"] == files
    other = Generator.from_pretrained(tmp_path / "base" / "best").model
    Adapters(other).load(result.folder, "tone")
    tokens = torch.arange(10)[None]
    assert torch.equal(logits(model, tokens), logits(other, tokens))
    adapters.remove("tone")
    assert all(torch.equal(base[name], p) for name, p in model.named_parameters())


def test_adapter_training_goes_on_exactly(config, tokenizer, documents, settings, tmp_path):
    def interrupt(event):
        if isinstance(event, Stepped) and event.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    def trained(name, *observers):
        model, steps = GPT2(config), []
        Adapters(model).add("tone", LoRA(dropout=0.2), seed=5)
        train(
            model,
            tokenizer,
            documents,
            settings,
            output=tmp_path / name,
            observers=[*observers, lambda event: steps.append(isinstance(event, Stepped))],
            resume=True,
        )
        return torch.cat([p.flatten() for p in model.parameters()]), sum(steps)

    whole, every = trained("whole")
    _, before = trained("halved", interrupt)
    halved, after = trained("halved")
    assert (12, 7, 5) == (every, before, after)
    assert torch.equal(whole, halved)


def test_training_wants_one_adapter(model, tokenizer, documents, tmp_path):
    adapters = Adapters(model)
    adapters.add("one")
    adapters.add("two")
    assert "two" == adapters.trained
    model.requires_grad_(requires_grad=False)

    with pytest.raises(OptionError, match="expected one adapter to train"):
        train(model, tokenizer, documents, output=tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: a.add("tone"), "adapter='tone': expected another name"),
        (lambda a: a.add("a.b"), "adapter='a.b': expected a name of letters"),
        (
            lambda a: a.add("new", LoRA(targets=("*.c_atn",))),
            r"targets='\*.c_atn': expected a pattern",
        ),
        (lambda a: a.scale("new", 1.0), "adapter='new': expected one of those added: tone"),
        (lambda a: a.scale("tone", float("nan")), "scale=nan: expected a finite number"),
        (lambda a: a.load("nowhere", "new", scale=float("inf")), "scale=inf: expected a finite"),
        (lambda a: a.remove("new"), "adapter='new': expected one of those added: tone"),
        (lambda a: a.save("new", "folder"), "adapter='new': expected one of those added: tone"),
    ],
)
def test_what_cannot_be_done_is_said(still, call, message):
    adapters = Adapters(still)
    adapters.add("tone")

    with pytest.raises(OptionError, match=message):
        call(adapters)
    assert ("tone",) == adapters.names


@pytest.fixture
def saved(config, tmp_path):
    """Return the folder of an adapter."""
    adapters = Adapters(GPT2(config))
    adapters.add("tone")
    adapters.save("tone", tmp_path / "tone")
    return tmp_path / "tone"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, 'expected an adapter with "peft_type": "LORA"'),
        ({"use_dora": True}, "use_dora=True is not offered"),
        ({"use_qalora": True}, "use_qalora=True is not offered"),
        ({"alora_invocation_tokens": [1]}, r"alora_invocation_tokens=\[1\] is not offered"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' is not offered"),
        ({"of_a_later_peft": 2}, "of_a_later_peft=2 is not offered"),
        ({"lora_alpha": 0}, r"adapter_config.json: alpha should be greater than 0, got 0"),
        ({"lora_alpha": "big"}, r"adapter_config.json: alpha should be a valid number, got 'big'"),
        ({"bias": "all"}, "bias='all' is not offered"),
        ({"modules_to_save": ["wte"]}, "modules_to_save=.* is not offered"),
    ],
)
def test_what_peft_offers_besides_is_refused(still, saved, change, message):
    file = saved / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(CheckpointError, match=message):
        Adapters(still).load(saved)


def test_an_adapter_of_another_model_is_refused(config, saved):
    wider = GPT2(config.model_copy(update={"n_embd": 32}))
    fewer = GPT2(config.model_copy(update={"n_layer": 1}))

    with pytest.raises(CheckpointError, match=r"h.0.attn.c_attn: expected the shapes .*32"):
        Adapters(wider).load(saved)
    with pytest.raises(CheckpointError, match="expected LoRA of this model's matrices, found"):
        Adapters(fewer).load(saved)


def test_absent_and_damaged_files_are_named(still, saved, tmp_path):
    with pytest.raises(CheckpointError, match=r"adapter_config.json: cannot be read: No such file"):
        Adapters(still).load(tmp_path)
    (saved / "adapter_model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match=r"adapter_model.safetensors: cannot be read"):
        Adapters(still).load(saved)
    (saved / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"expected adapter_model.safetensors or"):
        Adapters(still).load(saved)


def test_a_full_disk_leaves_the_adapter_before(config, saved, monkeypatch):
    adapters = Adapters(GPT2(config))
    adapters.add("tone", seed=7)
    before = (saved / "adapter_model.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
        adapters.save("tone", saved)
    assert before == (saved / "adapter_model.safetensors").read_bytes()
    assert 2 == len(list(saved.iterdir()))
