"""Adapters made by PEFT act here as they do there, and those made here act as well there."""

import copy
import json

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk_train import Adapters, LoRA, Objective, TrainingSettings, train

# peft asks transformers about something that it renamed, and warns of tied tables.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

DORA = {"use_dora": True}
CASES = {
    "lora_bias": {"lora_bias": True},
    "dora": {**DORA, "lora_dropout": 0.3},
    "dora everywhere": {**DORA, "target_modules": "all-linear", "use_rslora": True},
    "bias all": {"bias": "all"},
    "bias lora_only": {"bias": "lora_only", **DORA},
    "norm": {"modules_to_save": ["ln_f", "ln_1"]},
    "matrix": {"modules_to_save": ["attn.c_proj", "mlp.c_fc"]},
    "block's half": {"modules_to_save": ["mlp"]},
    "saved table": {"modules_to_save": ["wte"]},
    "saved positions": {"modules_to_save": ["wpe"]},
    "saved head": {"modules_to_save": ["lm_head"]},
    "both saved": {"modules_to_save": ["lm_head", "wte"]},
    "table": {"target_modules": ["wte", "c_attn"]},
    "table with dora": {"target_modules": ["wte"], **DORA},
    "positions": {"target_modules": ["wpe", "c_fc"]},
    "head": {"target_modules": ["lm_head", "c_attn"]},
    "head with dora": {"target_modules": ["lm_head"], **DORA},
    "head and table": {"target_modules": ["lm_head", "wte"]},
    "tokens": {"trainable_token_indices": [1, 3, 17]},
    "one layer": {
        "target_modules": ["c_attn"],
        "layers_to_transform": [1],
        "layers_pattern": "h",
    },
    "excluded": {"target_modules": "all-linear", "exclude_modules": r".*\.0\.mlp\..*"},
    "patterns": {
        "target_modules": ["c_attn", "c_proj"],
        "rank_pattern": {"attn.c_proj": 5, r"h\.1\.mlp\.c_proj": 1},
        "alpha_pattern": {"^transformer.h.0.attn.c_attn": 9},
    },
}
HEADS = ("saved table", "saved head", "both saved", "table", "head with dora", "tokens", "bias all")
TIED = {
    "saved head, tied": {"modules_to_save": ["lm_head"], "ensure_weight_tying": True},
    "both saved, tied": {"modules_to_save": ["lm_head", "wte"], "ensure_weight_tying": True},
    "saved table, tied": {"modules_to_save": ["wte"], "ensure_weight_tying": True},
    "table, tied": {"target_modules": ["wte"], "ensure_weight_tying": True},
}


@pytest.fixture
def tokens(config):
    return torch.randint(config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(2))


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def folder(request, config, tokenizer, tmp_path):
    """Return the folder of a model."""
    config = config.model_copy(update={"tie_word_embeddings": request.param})
    save_pretrained(GPT2(config), config, tokenizer, tmp_path / "model")
    return tmp_path / "model"


def theirs_of(folder):
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(folder).eval()


def make(folder, options, to, model=None):
    """Make an adapter with PEFT, give it values as training would, and save it."""
    from peft import LoraConfig, get_peft_model

    chosen = {"r": 3, "lora_alpha": 5, "task_type": "CAUSAL_LM", "target_modules": ["c_attn"]}
    theirs = get_peft_model(model or theirs_of(folder), LoraConfig(**chosen | options)).eval()
    generator = torch.Generator().manual_seed(4)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            noise = torch.empty(parameter.shape).normal_(0.0, 0.2, generator=generator)
            parameter.data += noise
    theirs.save_pretrained(to)


def peft_logits(folder, adapter, tokens):
    from peft import PeftModel

    model = PeftModel.from_pretrained(theirs_of(folder), adapter).eval()
    with torch.no_grad():
        return model(tokens).logits


def logits(model, tokens):
    with torch.no_grad():
        return model(tokens).logits


def assert_same(expected, actual):
    assert (expected - actual).abs().max() <= 1e-5 * (expected.max() - expected.min())


def check(folder, tokens, tmp_path):
    expected = peft_logits(folder, tmp_path / "tone", tokens)
    ours = Generator.from_pretrained(folder)
    plain = logits(ours.model, tokens)
    adapters = Adapters(ours.model)
    adapters.load(tmp_path / "tone", "tone")
    assert_same(expected, logits(ours.model, tokens))
    scored = ours.model.score(ours.model.make_cache(1), [tokens[0].tolist()], [9]).logits
    assert_same(expected[0], scored)

    adapters.save("tone", tmp_path / "again")
    assert_same(expected, peft_logits(folder, tmp_path / "again", tokens))
    adapters.scale("tone", 0.0)
    assert torch.allclose(plain, logits(ours.model, tokens), atol=1e-5)
    adapters.scale("tone", 1.0)

    adapters.merge()
    assert_same(expected, logits(ours.model, tokens))
    ours.save_pretrained(tmp_path / "merged")
    assert_same(expected, logits(Generator.from_pretrained(tmp_path / "merged").model, tokens))
    adapters.unmerge()
    assert_same(expected, logits(ours.model, tokens))
    adapters.remove("tone")
    assert torch.equal(plain, logits(ours.model, tokens))


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("case", CASES)
def test_what_peft_made_gives_the_same_logits_here(folder, tokens, case, tmp_path):
    make(folder, CASES[case], tmp_path / "tone")

    check(folder, tokens, tmp_path)


@pytest.mark.parametrize("folder", [False], indirect=True, ids=["untied"])
@pytest.mark.parametrize("case", HEADS)
def test_a_head_of_its_own_is_told_apart(folder, tokens, case, tmp_path):
    make(folder, CASES[case], tmp_path / "tone")

    check(folder, tokens, tmp_path)


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("case", TIED)
def test_what_peft_ties_is_tied_here(folder, tokens, case, tmp_path):
    make(folder, TIED[case], tmp_path / "tone")

    check(folder, tokens, tmp_path)


QUANTIZED = ("lora_bias", "dora", "bias all", "matrix", "saved table", "table with dora", "tokens")


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("case", QUANTIZED)
def test_quantized_models_take_every_kind(folder, tokens, case, tmp_path):
    pytest.importorskip("gpt2sdk_quantization", reason="what quantizes comes from there")
    make(folder, CASES[case], tmp_path / "tone")
    found = {}
    for quantization in (None, "int8"):
        ours = Generator.from_pretrained(folder, quantization=quantization)
        before = logits(ours.model, tokens)
        Adapters(ours.model).load(tmp_path / "tone", "tone")
        found[quantization] = logits(ours.model, tokens)
        assert (found[quantization] - before).abs().max() > 0.02

    difference = (found[None] - found["int8"]).abs().max()
    assert difference < 0.03 * (found[None].max() - found[None].min())
    with pytest.raises(OptionError, match="cannot be merged into quantized matrices"):
        Adapters(ours.model).merge()
    assert torch.equal(found["int8"], logits(ours.model, tokens))


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("lora", [{"dora": True}, {"rank_stabilized": True}, {}], ids=str)
def test_what_is_trained_here_gives_the_same_logits_in_peft(
    folder, tokens, documents, lora, tmp_path
):
    ours = Generator.from_pretrained(folder, dtype="float32")
    adapters = Adapters(ours.model)
    before = logits(ours.model, tokens)
    adapters.add("tone", LoRA(rank=3, alpha=7.0, targets=("*.attn.*", "h.1.mlp.*"), **lora))
    assert torch.allclose(before, logits(ours.model, tokens), atol=1e-5)
    settings = TrainingSettings(steps=9, batch_size=4, learning_rate=2e-2, warmup_steps=2)
    result = train(ours.model, ours.tokenizer, documents, settings, output=tmp_path / "run")

    expected = peft_logits(folder, result.folder, tokens)
    assert not torch.allclose(before, expected, atol=0.05)
    assert_same(expected, logits(ours.model, tokens))
    again = Generator.from_pretrained(folder)
    Adapters(again.model).load(result.folder, "tone")
    assert_same(expected, logits(again.model, tokens))


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("case", ["dora", "lora_bias", "bias all", "table", "tokens", "head"])
def test_gradients_are_those_of_peft(folder, tokens, case, tmp_path):
    from peft import PeftModel

    make(folder, {**CASES[case], "lora_dropout": 0.0}, tmp_path / "tone")
    theirs = PeftModel.from_pretrained(theirs_of(folder), tmp_path / "tone", is_trainable=True)
    theirs.eval()(tokens, labels=tokens).loss.backward()
    expected = {
        name: parameter.grad
        for name, parameter in theirs.named_parameters()
        if parameter.grad is not None
    }
    ours = Generator.from_pretrained(folder).model
    ours.unpack()
    Adapters(ours).load(tmp_path / "tone", "tone", trainable=True)
    Objective(ours).eval()(tokens).backward()
    actual = [p.grad for p in ours.parameters() if p.grad is not None]

    norms = sorted(gradient.norm().item() for gradient in expected.values())
    assert norms == pytest.approx(sorted(gradient.norm().item() for gradient in actual), rel=1e-3)


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
@pytest.mark.parametrize("case", [*QUANTIZED, "dora everywhere", "head", "norm"])
def test_every_kind_is_trained_further(folder, tokens, documents, case, tmp_path):
    make(folder, CASES[case], tmp_path / "tone")
    ours = Generator.from_pretrained(folder, dtype="float32")
    adapters = Adapters(ours.model)
    adapters.load(tmp_path / "tone", "tone", trainable=True)
    before = {path: part.stored() for path, part in adapters.parts("tone").items()}
    before = copy.deepcopy(before)
    settings = TrainingSettings(steps=3, batch_size=2, learning_rate=1e-2, warmup_steps=1)
    result = train(ours.model, ours.tokenizer, documents, settings, output=tmp_path / "run")

    for path, part in adapters.parts("tone").items():
        for suffix, tensor in part.stored().items():
            assert not torch.equal(before[path][suffix], tensor), (path, suffix)
    assert_same(peft_logits(folder, result.folder, tokens), logits(ours.model, tokens))


@pytest.mark.parametrize("folder", [True], indirect=True, ids=["tied"])
def test_an_adapter_of_eva_loads(folder, tokens, tmp_path):
    make(folder, {"rank_pattern": {"transformer.h.1.attn.c_attn": 5}}, tmp_path / "tone")
    file = tmp_path / "tone" / "adapter_config.json"
    eva = {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "tau": 0.99, "whiten": False}}
    expected = peft_logits(folder, tmp_path / "tone", tokens)
    file.write_text(json.dumps(json.loads(file.read_text()) | eva))
    ours = Generator.from_pretrained(folder)
    Adapters(ours.model).load(tmp_path / "tone", "tone")

    assert_same(expected, logits(ours.model, tokens))


@pytest.mark.parametrize("folder", [True, False], indirect=True, ids=["tied", "untied"])
def test_tables_that_peft_saved_along_replace_those_they_differ_from(folder, tokens, tmp_path):
    theirs = theirs_of(folder)
    theirs.transformer.wte.weight.data[3:7] += 0.5
    make(folder, {"target_modules": ["lm_head", "c_attn"]}, tmp_path / "tone", model=theirs)

    check(folder, tokens, tmp_path)
