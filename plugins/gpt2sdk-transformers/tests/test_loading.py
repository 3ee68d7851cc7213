"""Folders of transformers' models: in which forms they load, and what is not taken for granted."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from typer.testing import CliRunner

from gpt2sdk import CheckpointError, Generator, Quantized, residency_of
from gpt2sdk.cli.app import app
from gpt2sdk.testing import tiny_tokenizer
from gpt2sdk_transformers.check import check_scores
from gpt2sdk_transformers.model import TransformersLM
from gpt2sdk_transformers.network import context_length

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]
Make = Callable[[str], PreTrainedModel]

PROMPT = [5, 6, 7, 8, 9]
OPTIONS = {"strategy": "greedy", "max_new_tokens": 8}


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """A folder of a tiny Llama."""
    return save(tiny("llama")[1], tmp_path)


def save(network: PreTrainedModel, folder: Path) -> Path:
    network.save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


def tokens(gen: Generator) -> list[int]:
    return list(gen.generate(PROMPT, **OPTIONS).completions[0].tokens)


def close_to_theirs(small: Generator, network: PreTrainedModel) -> bool:
    """Whether logits are those of transformers' network with what the matrices stand for."""
    assert isinstance(small.model, TransformersLM)
    theirs = deepcopy(network)
    for name, module in small.model.network.named_modules():
        if isinstance(module, Quantized) and name != small.model.head_name:
            theirs.get_submodule(name).weight.data = module.dequantize()
        elif isinstance(module, Quantized):
            theirs.get_output_embeddings().weight = torch.nn.Parameter(module.dequantize())
    with torch.no_grad():
        wanted = theirs(torch.tensor([PROMPT]), use_cache=False).logits[0]
    found = small.model.score(small.model.make_cache(1), [PROMPT], [len(PROMPT)]).logits
    # Our 4-bit kernels may round what they multiply with, too.
    limit = 1e-3 if small.quantizer is not None and small.quantizer.name == "int8" else 0.03
    return bool((found - wanted).norm() < limit * wanted.norm())


def rewrite_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "kind", ["llama", "qwen2", "gemma2", "mixtral", "gpt_oss", "mamba", "jamba", "qwen3_next"]
)
def test_what_is_saved_is_loaded_again_here_and_there(
    tiny: Tiny, kind: str, tmp_path: Path
) -> None:
    gen, network = tiny(kind)
    gen.save_pretrained(tmp_path)
    assert tokens(Generator.from_pretrained(tmp_path)) == tokens(gen)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    ids = torch.tensor([PROMPT])
    assert all(map(torch.equal, again.state_dict().values(), network.state_dict().values()))
    with torch.no_grad():
        assert torch.allclose(again(ids).logits, network(ids).logits, atol=1e-4)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("kind", ["mamba", "mamba2", "jamba", "lfm2", "qwen3_next"])
def test_matrices_of_recurrent_layers_are_held_too(
    tiny: Tiny, kind: str, quantization: str, tmp_path: Path
) -> None:
    _, network = tiny(kind)
    save(network, tmp_path)
    small = Generator.from_pretrained(tmp_path, quantization=quantization)
    held = sum(isinstance(each, Quantized) for each in small.model.modules())  # type: ignore[attr-defined]
    assert held >= 4
    assert close_to_theirs(small, network)
    small.save_pretrained(tmp_path / "small")
    assert tokens(Generator.from_pretrained(tmp_path / "small")) == tokens(small)


@pytest.mark.parametrize("kind", ["mamba", "jamba", "recurrent_gemma"])
def test_recurrent_models_are_placed(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    gen, network = tiny(kind)
    save(network, tmp_path)
    placed = Generator.from_pretrained(tmp_path, placement="disk_offload")
    options = {**OPTIONS, "drafter": "prompt_lookup"}
    found, wanted = (each.generate(PROMPT * 4, **options) for each in (placed, gen))
    assert found.completions[0].tokens == wanted.completions[0].tokens


def test_shards_are_read(tiny: Tiny, tmp_path: Path) -> None:
    gen, network = tiny("mixtral")
    network.save_pretrained(tmp_path, max_shard_size="20KB")
    tiny_tokenizer().save(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert tokens(Generator.from_pretrained(tmp_path)) == tokens(gen)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_our_quantizers_hold_its_matrices(
    tiny: Tiny, kind: str, quantization: str, tmp_path: Path
) -> None:
    _, network = tiny(kind)
    save(network, tmp_path)
    small = Generator.from_pretrained(tmp_path, quantization=quantization)
    assert small.quantizer is not None
    assert small.quantizer.name == quantization
    assert "Int" in type(small.model.network.model.layers[0].mlp.up_proj).__name__  # type: ignore[attr-defined]
    assert close_to_theirs(small, network)
    small.save_pretrained(tmp_path / "small")
    assert tokens(Generator.from_pretrained(tmp_path / "small")) == tokens(small)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("placement", ["cpu_offload", "disk_offload"])
def test_parts_may_be_kept_elsewhere(tiny: Tiny, kind: str, placement: str, tmp_path: Path) -> None:
    gen, network = tiny(kind)
    save(network, tmp_path)
    assert tokens(Generator.from_pretrained(tmp_path, placement=placement)) == tokens(gen)


def test_sixteen_bits_stay_so_and_keys_do_not(tiny: Tiny, tmp_path: Path) -> None:
    _, network = tiny("llama")
    save(network, tmp_path)
    model = Generator.from_pretrained(tmp_path, dtype="bfloat16").model
    assert isinstance(model, TransformersLM)
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert model.network.model.rotary_emb.inv_freq.dtype == torch.float32
    cache = model.make_cache(1)
    scores = model.score(cache, [PROMPT], [1])
    assert scores.logits.dtype == torch.float32
    assert cache.copy_out(0, 0, 2)[0].dtype == torch.float32


def test_all_end_tokens_count(folder: Path) -> None:
    rewrite_config(folder, eos_token_id=[277, 270])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [277, 41]}))
    assert set(Generator.from_pretrained(folder).eos_token_ids) >= {277, 41}


def test_a_tied_head_that_is_stored_again_is_left_out(tiny: Tiny, tmp_path: Path) -> None:
    gen, network = tiny("gemma2")
    save(network, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert "lm_head.weight" not in weights
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    again = Generator.from_pretrained(tmp_path)
    assert tokens(again) == tokens(gen)
    assert "1 keys that are no weights were left out" in again.notes
    weights["lm_head.weight"] += 1
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    # Who only asks what is there reads no weights.
    command = CliRunner().invoke(app, ["info", str(tmp_path)], prog_name="gpt2sdk")
    assert command.exit_code == 0, command.output
    with pytest.raises(CheckpointError, match="ties the output head to the embedding, but"):
        Generator.from_pretrained(tmp_path)


def test_missing_and_foreign_weights_are_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.extra"] = weights.pop("model.norm.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"missing: .*model\.norm\.weight.*unexpected: .*extra"
    ):
        Generator.from_pretrained(folder)


def test_a_config_that_makes_no_sense_is_refused(folder: Path) -> None:
    rewrite_config(folder, num_attention_heads="many")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        Generator.from_pretrained(folder)


def beside(x: torch.Tensor) -> torch.Tensor:
    """Positions of the row behind the first one, in the second call, are one too high."""
    return x if x.shape[1] != 16 else torch.cat([x[:, :8], x[:, :8]], dim=1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", [lambda x: x.flip(1), lambda x: x.roll(1, 1), beside])
def test_a_network_with_other_logits_is_refused(
    tiny: Tiny, fault: Callable[[torch.Tensor], torch.Tensor], dtype: str, tmp_path: Path
) -> None:
    _, network = tiny("llama")
    gen = Generator.from_pretrained(save(network, tmp_path), dtype=dtype)
    model = gen.model
    assert isinstance(model, TransformersLM)
    check_scores(model)
    # Twelve positions at once are the network's own.
    model.network.model.rotary_emb.register_forward_hook(
        lambda module, args, out: tuple(map(fault, out)) if len(out[0][0]) != 12 else out
    )
    with pytest.raises(CheckpointError, match="other logits than transformers computes"):
        check_scores(model)


def test_rotary_positions_that_stretch_are_read_as_far_as_they_do_not(folder: Path) -> None:
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0}
    rewrite_config(folder, rope_parameters=rope)
    assert Generator.from_pretrained(folder).model.context_length == 128


@pytest.mark.parametrize(("kind", "wanted"), [("default", 256), ("longrope", 16)])
def test_the_window_ends_where_positions_of_any_type_of_layer_stretch(
    kind: str, wanted: int
) -> None:
    factors = {"short_factor": [1.0] * 4, "long_factor": [8.0] * 4, "factor": 16.0}
    rope = {"rope_type": kind, "rope_theta": 1e4}
    if kind == "longrope":
        rope |= {**factors, "original_max_position_embeddings": 16}
    config = AutoConfig.for_model(
        "gemma3_text",
        max_position_embeddings=256,
        head_dim=8,
        rope_parameters={
            "full_attention": rope,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    )
    assert context_length(config) == wanted


def test_shapes_are_followed_without_numbers(tiny: Tiny) -> None:
    gen, _ = tiny("llama")
    names = [row.name for row in gen.architecture.shapes()]
    assert any("lm_head" in name for name in names)
    assert gen.architecture.facts()["layers"] == "2, each with 4 heads, 2 of keys and values"


def test_prompts_go_on_from_what_was_read_before(folder: Path) -> None:
    gen = Generator.from_pretrained(folder, prefix_cache="16MB")
    again = Generator.from_pretrained(folder)
    said = [(5 * place) % 270 for place in range(60)]
    gen.generate(said, **OPTIONS)
    found, wanted = (each.generate([*said, 7, 8], **OPTIONS) for each in (gen, again))
    assert found.completions[0].tokens == wanted.completions[0].tokens
    assert found.usage.tokens_fed < 20 < wanted.usage.tokens_fed


def test_prompts_of_recurrent_models_are_read_anew(tiny: Tiny, tmp_path: Path) -> None:
    save(tiny("jamba")[1], tmp_path)
    gen = Generator.from_pretrained(tmp_path, prefix_cache="16MB")
    said = [(5 * place) % 270 for place in range(60)]
    found, again = (gen.generate(said, **OPTIONS) for _ in range(2))
    assert found.completions[0].tokens == again.completions[0].tokens
    assert again.usage.tokens_fed == found.usage.tokens_fed
    assert 1 == sum("prefix_cache='16MB' keeps nothing" in note for note in gen.notes)
    for quiet in (None, 0):
        assert not any(
            "prefix" in n for n in Generator(gen.model, gen.tokenizer, prefix_cache=quiet).notes
        )


def test_weights_that_are_written_to_or_watched_are_another_origin(folder: Path) -> None:
    model = Generator.from_pretrained(folder).model
    assert isinstance(model, TransformersLM)
    first = model.origin()
    assert first is not None
    assert model.origin() == first
    with torch.no_grad():
        model.network.model.norm.weight += 1
    assert model.origin() not in {first, None}
    hook = model.network.model.norm.register_forward_hook(lambda *_: None)
    assert model.origin() is None
    hook.remove()


def test_a_model_in_training_has_its_matrices_and_gradients(folder: Path) -> None:
    model = Generator.from_pretrained(folder).model
    assert isinstance(model, TransformersLM)
    before = model.score(model.make_cache(1), [PROMPT], [5]).logits
    model.train().requires_grad_()
    with model.as_in_transformers():
        logits = model.network(torch.tensor([PROMPT])).logits[0]
    assert torch.allclose(logits, before, atol=1e-4)
    logits.sum().backward()
    assert all(each.grad is not None for each in model.parameters())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["deepseek_v3", "gpt_oss", "llama"])
def test_what_transformers_keeps_in_float32_is_kept(
    tiny: Tiny, kind: str, dtype: str, tmp_path: Path
) -> None:
    save(tiny(kind)[1], tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=getattr(torch, dtype), attn_implementation="eager"
    )
    model = Generator.from_pretrained(tmp_path, dtype=dtype, runner="torch").model
    assert isinstance(model, TransformersLM)
    found = {name: each.dtype for name, each in model.network.state_dict().items()}
    wanted = {name: each.dtype for name, each in theirs.state_dict().items()}
    assert {name: wanted[name] for name in found} == found
    kept = {name for name, each in wanted.items() if each == torch.float32}
    assert bool(kept) == (kind == "deepseek_v3" or (kind == "gpt_oss" and dtype == "float16"))
    with torch.no_grad():
        logits = theirs(torch.tensor([PROMPT])).logits[0].float()
    ours = model.score(model.make_cache(1), [PROMPT], [len(PROMPT)]).logits
    assert (ours - logits).norm() < 0.05 * logits.norm()


def test_a_map_of_parts_places_them(tiny: Tiny, tmp_path: Path) -> None:
    gen, network = tiny("llama")
    save(network, tmp_path)
    spread = {"": "cpu", "network.model.layers.1": "disk"}
    placed = Generator.from_pretrained(tmp_path, placement=spread, device="cpu")
    residency = residency_of(placed.model)  # type: ignore[arg-type]
    assert residency is not None
    assert residency.permanent("network.model.layers.0")
    assert not residency.permanent("network.model.layers.1")
    assert tokens(placed) == tokens(gen)
    # As transformers and accelerate name them.
    first = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu"}
    theirs = first | {"model.layers.0": "disk", "model.layers.1": "disk", "lm_head": "cpu"}
    assert tokens(Generator.from_pretrained(tmp_path, placement=theirs, device="cpu")) == tokens(
        gen
    )
