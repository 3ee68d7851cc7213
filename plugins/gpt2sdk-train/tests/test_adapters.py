"""Adapters: what they add, and that nothing else changes."""

import os
import signal

import pytest
import torch

from gpt2sdk import Generator, OptionError
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
