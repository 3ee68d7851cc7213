"""PEFT's adapters of transformers' models act here as they do there, and are trained here."""

import json

import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

import gpt2sdk_train
from gpt2sdk import CheckpointError, Generator, OptionError, Quantized
from gpt2sdk_train import Adapters, LoRA, TrainingSettings, train

pytest.importorskip("gpt2sdk_transformers", reason="what loads these models comes from there")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
KINDS = {
    "llama": {"attention_bias": True},
    "qwen3": {"tie_word_embeddings": True},
    "gemma2": {"sliding_window": 5},
    "mamba": {"state_size": 4, "time_step_rank": 4},
}
DORA = {"use_dora": True}
CASES = {
    "list": {"target_modules": ["q_proj", "v_proj"]},
    "regular expression": {"target_modules": r".*\.1\.(self_attn\.[qk]_proj|mlp\.down_proj)"},
    "all-linear": {"target_modules": "all-linear", "use_rslora": True},
    "dora": {**DORA, "target_modules": ["o_proj", "up_proj"]},
    "bias all": {"bias": "all"},
    "bias lora_only": {"bias": "lora_only"},
    "lora_bias": {"target_modules": ["q_proj"], "lora_bias": True},
    "norms": {"modules_to_save": ["norm", "input_layernorm"]},
    "matrix": {"modules_to_save": ["down_proj"]},
    "half of a block": {"modules_to_save": ["mlp"]},
    "saved table": {"modules_to_save": ["embed_tokens"]},
    "saved head": {"modules_to_save": ["lm_head"]},
    "both saved": {"modules_to_save": ["lm_head", "embed_tokens"]},
    "table": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "head with dora": {"target_modules": ["lm_head"], **DORA},
    "tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [1, 3, 17]},
    "one layer": {"layers_to_transform": [1], "target_modules": ["k_proj"]},
    "excluded": {"target_modules": "all-linear", "exclude_modules": r".*\.0\.mlp\..*"},
    "patterns": {
        "target_modules": ["q_proj", "up_proj", "down_proj"],
        "rank_pattern": {"mlp.up_proj": 5, r"layers\.1\.mlp\.down_proj": 1},
        "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 9},
    },
}
BIASED = {"bias all", "bias lora_only", "lora_bias"}
# Gemma scales what it reads from its table.
SCALED = {"saved table", "both saved", "table", "tokens"}


@pytest.fixture
def tokens(config):
    return torch.randint(config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def folder(kind, config, tokenizer, tmp_path):
    """Return the folder of a model that transformers wrote."""
    from transformers import AutoConfig, AutoModelForCausalLM

    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    values = {"vocab_size": config.vocab_size, **SIZES, **ends, **KINDS[kind]}
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values))
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) / 5
    network.save_pretrained(tmp_path / "model")
    tokenizer.save(tmp_path / "model")
    return tmp_path / "model"


def theirs_of(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def make(folder, options, to):
    """Make an adapter with PEFT, give it values as training would, and save it."""
    from peft import LoraConfig, get_peft_model

    chosen = {"r": 3, "lora_alpha": 5, "task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}
    theirs = get_peft_model(theirs_of(folder), LoraConfig(**chosen | options)).eval()
    generator = torch.Generator().manual_seed(4)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.data += torch.empty(parameter.shape).normal_(0.0, 0.2, generator=generator)
    theirs.save_pretrained(to)


def peft_logits(folder, adapter, tokens):
    from peft import PeftModel

    model = PeftModel.from_pretrained(theirs_of(folder), adapter).eval()
    with torch.no_grad():
        return model(tokens).logits


def logits(gen, tokens):
    rows = tokens.tolist()
    cache = gen.model.make_cache(len(rows))
    scores = gen.model.score(cache, rows, [len(row) for row in rows])
    return scores.logits.view(*tokens.shape, -1)


def assert_same(expected, actual, most=1e-5):
    assert (expected - actual).abs().max() <= most * (expected.max() - expected.min())


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("case", CASES)
def test_what_peft_made_gives_the_same_logits_here(kind, case, folder, tokens, tmp_path):
    if kind == "qwen3" and case in BIASED:
        pytest.skip("it has no biases")
    make(folder, CASES[case], tmp_path / "tone")
    expected = peft_logits(folder, tmp_path / "tone", tokens)
    plain = logits(Generator.from_pretrained(folder), tokens)
    assert (expected - plain).abs().max() > 0.02
    ours = Generator.from_pretrained(folder, adapter=tmp_path / "tone")
    assert_same(expected, logits(ours, tokens))
    whole = ours.model.logits(tokens)
    assert_same(expected, whole)

    adapters = Adapters(ours.model)
    (name,) = adapters.names
    adapters.save(name, tmp_path / "again")
    assert_same(expected, peft_logits(folder, tmp_path / "again", tokens))
    adapters.scale(name, 0.0)
    assert torch.allclose(plain, logits(ours, tokens), atol=1e-5)
    adapters.scale(name, 1.0)
    if ours.model.tied and case in {*SCALED, "saved head", "head", "head with dora"} - {"tokens"}:
        with pytest.raises(OptionError, match="share their numbers"):
            adapters.merge()
    else:
        adapters.merge()
        assert_same(expected, logits(ours, tokens))
        ours.save_pretrained(tmp_path / "merged")
        assert_same(expected, logits(Generator.from_pretrained(tmp_path / "merged"), tokens))
        adapters.unmerge()
    assert_same(expected, logits(ours, tokens))
    adapters.remove(name)
    assert torch.equal(plain, logits(ours, tokens))


@pytest.mark.parametrize("kind", ["gemma2"])
@pytest.mark.parametrize("case", ["all-linear", "norms", "dora", "saved head"])
def test_other_kinds_are_no_different(kind, case, folder, tokens, tmp_path):
    make(folder, CASES[case], tmp_path / "tone")
    ours = Generator.from_pretrained(folder, adapter=tmp_path / "tone")
    assert_same(peft_logits(folder, tmp_path / "tone", tokens), logits(ours, tokens))


@pytest.mark.parametrize("kind", ["llama"])
@pytest.mark.parametrize("case", ["all-linear", "dora", "bias all", "norms", "both saved"])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_quantized_models_take_adapters(kind, case, quantization, folder, tokens, tmp_path):
    pytest.importorskip("gpt2sdk_quantization", reason="what quantizes comes from there")
    from peft import PeftModel

    make(folder, CASES[case], tmp_path / "tone")
    small = Generator.from_pretrained(folder, quantization=quantization)
    before = logits(small, tokens)
    theirs = theirs_of(folder)
    for name, module in small.model.network.named_modules():
        if isinstance(module, Quantized):
            theirs.get_submodule(name).weight.data = module.dequantize()
    Adapters(small.model).load(tmp_path / "tone", "tone")
    found = logits(small, tokens)
    assert (found - before).abs().max() > 0.02
    with torch.no_grad():
        expected = PeftModel.from_pretrained(theirs, tmp_path / "tone").eval()(tokens).logits
    assert (found - expected).norm() < 0.02 * expected.norm()
    with pytest.raises(OptionError, match="cannot be merged into quantized matrices"):
        Adapters(small.model).merge()


@pytest.mark.parametrize("kind", ["llama"])
@pytest.mark.parametrize("placement", ["cpu_offload", "disk_offload"])
def test_parts_that_are_brought_have_their_adapters(kind, placement, folder, tokens, tmp_path):
    pytest.importorskip("gpt2sdk_accelerate", reason="what places comes from there")
    make(folder, {"target_modules": "all-linear", **DORA}, tmp_path / "tone")
    placed = Generator.from_pretrained(folder, placement=placement, adapter=tmp_path / "tone")
    assert_same(peft_logits(folder, tmp_path / "tone", tokens), logits(placed, tokens))


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_texts_and_beams_are_those_of_peft(kind, folder, config, tmp_path):
    from peft import PeftModel

    make(folder, {"target_modules": "all-linear"}, tmp_path / "tone")
    theirs = PeftModel.from_pretrained(theirs_of(folder), tmp_path / "tone").eval()
    ours = Generator.from_pretrained(folder, adapter=tmp_path / "tone")
    prompts = [[5, 6, 7, 8, 9, 10, 11], [20, 30], [40, 41, 42]]
    for options in ({"num_beams": 1}, {"num_beams": 4}):
        strategy = (
            {"strategy": "beam", **options} if options["num_beams"] > 1 else {"strategy": "greedy"}
        )
        found = ours.generate(prompts, max_new_tokens=8, **strategy).completions
        for prompt, completion in zip(prompts, found, strict=True):
            wanted = theirs.generate(
                input_ids=torch.tensor([prompt]), do_sample=False, max_new_tokens=8, **options
            )
            ids = wanted[0, len(prompt) :].tolist()
            assert list(completion.tokens) == ids[: len(completion.tokens)]


WRONG = {
    "another width": ({"hidden_size": 48}, {}, "for hidden_size=48, and this one has .*=32"),
    "more blocks": ({"num_hidden_layers": 3}, {}, "it has blocks up to 2, the model has 2"),
    "fewer blocks": ({"num_hidden_layers": 1}, {}, "asks for all of the model's 2 blocks"),
    "another rank": ({}, {"r": 4}, "the rank of model.layers.0.self_attn.q_proj is 4, .* 3"),
    "another method": ({}, {"peft_type": "IA3"}, 'expected an adapter with "peft_type": "LORA"'),
    "parameters": ({}, {"target_parameters": ["mlp.experts"]}, "target_parameters=.* not offered"),
    "a pissa start": ({}, {"init_lora_weights": "pissa"}, "changes the model beside"),
    "a norm": ({}, {"target_modules": ["q_proj", "norm"]}, "LoRA of model.norm, a LlamaRMSNorm"),
    "no targets": ({}, {"target_modules": None}, "expected the names of modules"),
    "nothing of it": ({}, {"target_modules": ["c_attn"]}, "not asked for: model.layers.0"),
}


@pytest.mark.parametrize("kind", ["llama"])
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_says_why(kind, case, folder, config, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes, changed, message = WRONG[case]
    other = LlamaForCausalLM(LlamaConfig(vocab_size=config.vocab_size, **{**SIZES, **sizes}))
    lora = LoraConfig(r=3, task_type="CAUSAL_LM", target_modules=["q_proj"])
    get_peft_model(other, lora).save_pretrained(tmp_path / "tone")
    file = tmp_path / "tone" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(CheckpointError, match=message):
        Generator.from_pretrained(folder, adapter=tmp_path / "tone")


@pytest.mark.parametrize("kind", ["gemma2"])
def test_a_table_that_scales_is_refused_by_its_name(kind, folder, tmp_path):
    make(folder, {"target_modules": ["embed_tokens"]}, tmp_path / "tone")
    with pytest.raises(CheckpointError, match=r"LoRA of model\.embed_tokens, a .*Gemma2TextScaled"):
        Generator.from_pretrained(folder, adapter=tmp_path / "tone")


@pytest.mark.parametrize("kind", ["mamba"])
def test_matrices_that_are_read_past_their_modules_have_no_adapters(kind, folder, tokens, tmp_path):
    make(folder, {"target_modules": ["in_proj", "dt_proj"]}, tmp_path / "tone")
    ours = Generator.from_pretrained(folder)
    adapters = Adapters(ours.model)
    with pytest.raises(CheckpointError, match=r"adapter of .*0\.mixer\.dt_proj would do nothing"):
        adapters.load(tmp_path / "tone")
    with pytest.raises(OptionError, match=r"reads backbone\.layers\.0\.mixer\.dt_proj past the"):
        adapters.add("tone", LoRA(targets=("*.dt_proj",)))

    adapters.add("tone", LoRA(rank=2))
    names = {path.rpartition(".")[2] for path in adapters.parts("tone")}
    assert names == {"in_proj", "x_proj", "out_proj"}
    for part in adapters.parts("tone").values():
        part.up.data.normal_(0.0, 0.3)
    beside = logits(ours, tokens)
    adapters.merge()
    assert_same(beside, logits(ours, tokens))


@pytest.mark.parametrize("kind", ["llama"])
def test_merged_matrices_are_packed_as_they_were(kind, folder):
    def packed():
        return sum(getattr(each, "packed", None) is not None for each in ours.model.modules())

    ours = Generator.from_pretrained(wide(folder))
    before = packed()
    adapters = Adapters(ours.model)
    adapters.add("tone", LoRA(rank=2))
    adapters.merge()
    assert packed() == before > 0
    adapters.unmerge()
    adapters.remove("tone")
    assert packed() == before


def wide(folder):
    """Write a model of transformers whose matrices are worth packing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {**SIZES, "hidden_size": 512, "intermediate_size": 512}
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    LlamaForCausalLM(LlamaConfig(vocab_size=290, **sizes, **ends)).save_pretrained(folder)
    return folder


@pytest.fixture
def settings():
    return TrainingSettings(
        steps=9, batch_size=4, block_size=16, learning_rate=2e-2, warmup_steps=2, save_every=3
    )


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2"])
@pytest.mark.parametrize(
    "lora",
    [{}, {"dora": True, "targets": ("*.q_proj", "model.layers.1.mlp.*")}, {"dropout": 0.1}],
    ids=str,
)
def test_what_is_trained_here_gives_the_same_logits_in_peft(
    kind, lora, folder, tokens, documents, settings, tmp_path
):
    ours = Generator.from_pretrained(folder)
    before = logits(ours, tokens)
    Adapters(ours.model).add("tone", LoRA(rank=3, alpha=7.0, **lora))
    assert torch.allclose(before, logits(ours, tokens), atol=1e-5)
    text = documents[0]
    unlikely = ours.score(text).perplexity
    result = train(
        ours.model, ours.tokenizer, documents, settings, output=tmp_path / "run", validation=[text]
    )

    assert ours.score(text).perplexity < unlikely / 1.5
    expected = peft_logits(folder, result.folder, tokens)
    assert not torch.allclose(before, expected, atol=0.05)
    assert_same(expected, logits(ours, tokens))
    assert_same(expected, logits(Generator.from_pretrained(folder, adapter=result.folder), tokens))


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2"])
@pytest.mark.parametrize("case", ["all-linear", "dora", "saved head", "norms", "tokens"])
def test_gradients_are_those_of_peft(kind, case, folder, tokens, tmp_path):
    from peft import PeftModel

    from gpt2sdk_train.network_objective import make_objective

    if kind == "gemma2" and case == "tokens":
        pytest.skip("its table scales what it gives out")
    make(folder, CASES[case], tmp_path / "tone")
    theirs = PeftModel.from_pretrained(theirs_of(folder), tmp_path / "tone", is_trainable=True)
    theirs.eval()(tokens, labels=tokens).loss.backward()
    expected = [each.grad for each in theirs.parameters() if each.grad is not None]
    ours = Generator.from_pretrained(folder).model
    ours.unpack()
    Adapters(ours).load(tmp_path / "tone", "tone", trainable=True)
    make_objective(ours).eval()(tokens).backward()
    actual = [each.grad for each in ours.parameters() if each.grad is not None]

    norms = sorted(gradient.norm().item() for gradient in expected)
    assert norms == pytest.approx(sorted(gradient.norm().item() for gradient in actual), rel=1e-3)


@pytest.mark.parametrize("kind", ["llama"])
def test_activations_computed_twice_change_nothing(
    kind, folder, tokens, documents, settings, tmp_path
):
    found = []
    for twice in (False, True):
        ours = Generator.from_pretrained(folder)
        Adapters(ours.model).add("tone", LoRA(rank=2))
        chosen = settings.model_copy(update={"gradient_checkpointing": twice})
        train(ours.model, ours.tokenizer, documents, chosen, output=tmp_path / str(twice))
        found.append(logits(ours, tokens))
    assert_same(*found)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("kind", ["llama"])
def test_observers_may_generate(kind, twice, folder, documents, settings, tmp_path):
    found = []
    for watched in (False, True):
        ours = Generator.from_pretrained(folder)
        Adapters(ours.model).add("tone", LoRA(rank=2, dropout=0.2))
        texts = []

        def watch(event, gen=ours, texts=texts):
            texts.append(gen.generate("the cat", max_new_tokens=3, seed=len(texts)).text)

        train(
            ours.model,
            ours.tokenizer,
            documents,
            settings.model_copy(update={"gradient_checkpointing": twice}),
            output=tmp_path / str(watched),
            observers=[watch] if watched else [],
        )
        assert len(texts) > settings.steps or not watched
        assert ours.model.training is False
        found.append(ours.score(documents[0]).logprobs)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["qwen3"])
def test_a_run_goes_on_where_it_was(kind, folder, documents, settings, tmp_path):
    # The same in a run of fewer steps.
    settings = settings.model_copy(update={"final_learning_rate": 1.0})

    def run(steps, output, **options):
        ours = Generator.from_pretrained(folder)
        Adapters(ours.model).add("tone", LoRA(rank=2, dropout=0.2))
        chosen = settings.model_copy(update={"steps": steps})
        train(ours.model, ours.tokenizer, documents, chosen, output=output, **options)
        parts = Adapters(ours.model).parts("tone")
        return torch.cat([each.up.detach().flatten() for each in parts.values()])

    whole = run(9, tmp_path / "whole")
    run(6, tmp_path / "parts")
    assert torch.equal(run(9, tmp_path / "parts", resume=True), whole)


@pytest.mark.parametrize("kind", ["llama"])
def test_quantized_models_train_adapters(kind, folder, documents, settings, tmp_path):
    pytest.importorskip("gpt2sdk_quantization", reason="what quantizes comes from there")
    small = Generator.from_pretrained(folder, quantization="int8")
    Adapters(small.model).add("tone", LoRA(rank=3))
    unlikely = small.score(documents[0]).perplexity
    result = train(small.model, small.tokenizer, documents, settings, output=tmp_path / "run")
    assert small.score(documents[0]).perplexity < unlikely / 2
    whole = Generator.from_pretrained(folder, adapter=result.folder)
    assert whole.score(documents[0]).perplexity < unlikely / 2


@pytest.mark.parametrize("kind", ["llama"])
def test_all_weights_are_not_trained_and_it_is_said_what_to_do(
    kind, folder, documents, settings, tmp_path
):
    ours = Generator.from_pretrained(folder)
    with pytest.raises(OptionError, match=r"add an adapter to this one .*--lora rank=8"):
        train(ours.model, ours.tokenizer, documents, settings, output=tmp_path / "run")


@pytest.mark.parametrize("kind", ["llama"])
def test_the_command_trains_and_merges(kind, folder, documents, tokens, tmp_path):
    app = Typer()
    app.callback()(lambda: None)
    gpt2sdk_train.gpt2sdk_cli(app)
    text = tmp_path / "text.txt"
    text.write_text("\n<|endoftext|>\n".join(documents))
    words = f"train {text} -m {folder} -O {tmp_path}/run --lora rank=2 -o steps=4 -o block_size=16"
    result = CliRunner().invoke(app, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    best = tmp_path / "run" / "best"
    config = json.loads((best / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(folder)
    assert "self_attn.q_proj" in config["target_modules"]
    assert config["fan_in_fan_out"] is False
    merged = f"merge {folder} {best} {tmp_path}/merged".split()
    assert CliRunner().invoke(app, merged, catch_exceptions=False).exit_code == 0
    expected = peft_logits(folder, best, tokens)
    assert_same(expected, logits(Generator.from_pretrained(tmp_path / "merged"), tokens))
