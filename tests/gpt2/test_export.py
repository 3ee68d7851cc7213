"""save_pretrained writes the Hugging Face layout, as a whole or not at all."""

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError, OptionError
from gpt2sdk.files import shards, tensors
from gpt2sdk.gpt2.checkpoint import load_model, open_checkpoint
from gpt2sdk.gpt2.export import save_pretrained
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.tokenizer.tokenizer import Tokenizer

CPU = torch.device("cpu")
CONFIG = GPT2Config(
    vocab_size=300,
    n_positions=10,
    n_embd=8,
    n_head=2,
    n_layer=2,
    eos_token_id=[0, 3],
    extra={"task_specific_params": {"text-generation": {"max_length": 50}}},
)


def model_of(config=CONFIG, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(shape, generator=generator).to(dtype)
        for name, shape in parameter_shapes(config).items()
    }
    with torch.device("meta"):
        model = GPT2(config)
    model.load_state_dict(weights, strict=True, assign=True)
    return model, weights


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: token for token, letter in enumerate(["<|endoftext|>", *letters])}
    library = Library(models.BPE(vocab, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("tokenizer")
    library.save(str(folder / "tokenizer.json"))
    return Tokenizer.from_folder(folder)


def loaded(folder):
    checkpoint = open_checkpoint(folder)
    return load_model(checkpoint, device=CPU, dtype=checkpoint.dtype).state_dict()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_weights_lie_as_in_the_released_files(tmp_path, tokenizer):
    model, weights = model_of()
    save_pretrained(model, CONFIG, tokenizer, tmp_path / "new")
    stored = load_file(tmp_path / "new" / "model.safetensors")

    assert {f"transformer.{name}" for name in weights} == set(stored)
    for name, value in weights.items():
        expected = value.T if name.endswith(MATRICES) else value
        assert torch.equal(expected, stored[f"transformer.{name}"])
    with safe_open(tmp_path / "new" / "model.safetensors", "pt") as opened:
        assert {"format": "pt"} == opened.metadata()


def test_everything_that_belongs_to_a_model_is_written(tmp_path, tokenizer):
    model, _ = model_of()
    save_pretrained(model, CONFIG, tokenizer, tmp_path / "new")
    names = {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }

    assert names == set(files(tmp_path / "new"))
    # What nobody named is the tokenizer's. Token 3 is a word, which ends a text if it is written
    # down for generation alone.
    generation = {"bos_token_id": 0, "eos_token_id": 0}
    named = {"dtype": "float32", "bos_token_id": 0, "generation": generation}
    assert CONFIG.model_copy(update=named) == GPT2Config.from_folder(tmp_path / "new")
    assert "naïve" == Tokenizer.from_folder(tmp_path / "new").decode(tokenizer.encode("naïve"))


def test_a_generation_config_is_kept_and_gets_the_end_tokens_that_it_lacks(tmp_path, tokenizer):
    model, _ = model_of()
    kept = {"temperature": 0.7, "pad_token_id": -1, "eos_token_id": [3, 999]}
    for name, generation, expected in (
        ("some", kept, {**kept, "eos_token_id": [3, 999, 0]}),
        ("all", {"top_k": 5, "eos_token_id": 0}, {"top_k": 5, "eos_token_id": 0}),
        ("none", {"top_k": 5, "eos_token_id": None}, {"top_k": 5, "eos_token_id": 0}),
    ):
        config = CONFIG.model_copy(update={"generation": generation})
        save_pretrained(model, config, tokenizer, tmp_path / name)
        written = (tmp_path / name / "generation_config.json").read_text()

        assert expected == json.loads(written)


def test_end_tokens_that_no_config_names_are_written(tmp_path, tokenizer):
    sizes = {"vocab_size": 300, "n_positions": 10, "n_embd": 8, "n_head": 2, "n_layer": 2}
    model, _ = model_of(GPT2Config(**sizes))
    save_pretrained(model, GPT2Config(**sizes), tokenizer, tmp_path / "new")
    config = GPT2Config.from_folder(tmp_path / "new")

    assert (0, (0,), (0,)) == (
        config.bos_token_id,
        config.written_end_tokens,
        config.generation_end_tokens,
    )


TEMPLATES = {
    "chat_template.jinja": b"{{ m }}\r\n",
    "additional_chat_templates/tool.jinja": b"{# #}",
}


def with_templates(folder, tokenizer, texts):
    folder.mkdir()
    tokenizer.save(folder)
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    written = json.dumps(settings | {"chat_template": "{{ old }}"})
    (folder / "tokenizer_config.json").write_text(written)
    return Tokenizer.from_folder(folder)


def templates_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.jinja")
    }


def test_chat_templates_of_every_kind_are_kept(tmp_path, tokenizer):
    model, _ = model_of()
    talking = with_templates(tmp_path / "old", tokenizer, TEMPLATES)
    save_pretrained(model, CONFIG, talking, tmp_path / "new")
    settings = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())

    assert TEMPLATES == templates_of(tmp_path / "new")
    assert "{{ old }}" == settings["chat_template"]


def test_chat_templates_of_an_older_model_do_not_stay(tmp_path, tokenizer):
    model, _ = model_of()
    talking = with_templates(tmp_path / "old", tokenizer, TEMPLATES)
    other = {"additional_chat_templates/other.jinja": b"{{ 1 }}"}
    saying = with_templates(tmp_path / "other", tokenizer, other)
    for each in (talking, saying, tokenizer):
        save_pretrained(model, CONFIG, each, tmp_path / "new")
        (tmp_path / "new" / "notes").mkdir(exist_ok=True)
        expected = {id(talking): TEMPLATES, id(saying): other, id(tokenizer): {}}[id(each)]

        assert expected == templates_of(tmp_path / "new")
        assert (tmp_path / "new" / "notes").is_dir()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("most", [10**9, 3000, 1])
def test_what_is_saved_loads_bit_for_bit(tmp_path, monkeypatch, dtype, tied, most):
    monkeypatch.setattr(tensors, "SLAB_BYTES", 256)
    config = CONFIG.model_copy(update={"tie_word_embeddings": tied})
    model, weights = model_of(config, dtype)
    save_pretrained(model, config, None, tmp_path / "new", max_shard_size=most)
    state = loaded(tmp_path / "new")

    for name, value in weights.items():
        assert dtype == state[name].dtype
        assert torch.equal(value, state[name])


def test_the_library_reads_numbers_of_mixed_widths(tmp_path):
    model, _ = model_of(dtype=torch.bfloat16)
    model.ln_f.float()
    save_pretrained(model, CONFIG, None, tmp_path / "new")
    stored = load_file(tmp_path / "new" / "model.safetensors")

    assert torch.equal(model.ln_f.bias, stored["transformer.ln_f.bias"])
    assert torch.equal(model.wpe.weight, stored["transformer.wpe.weight"])


def test_shards_are_no_larger_than_asked_for(tmp_path):
    model, weights = model_of()
    save_pretrained(model, CONFIG, None, tmp_path / "new", max_shard_size=3000)
    shards = sorted((tmp_path / "new").glob("model-*.safetensors"))
    index = json.loads((tmp_path / "new" / "model.safetensors.index.json").read_text())

    assert [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)] == [
        shard.name for shard in shards
    ]
    assert sum(value.nbytes for value in weights.values()) == index["metadata"]["total_size"]
    for shard in shards:
        held = load_file(shard)
        assert len(held) == 1 or sum(value.nbytes for value in held.values()) <= 3000
        assert set(held) == {key for key, name in index["weight_map"].items() if name == shard.name}


def test_an_older_checkpoint_leaves_nothing_behind(tmp_path, tokenizer):
    folder = tmp_path / "model"
    first, _ = model_of(seed=1)
    save_pretrained(first, CONFIG, tokenizer, folder, max_shard_size=3000)
    for name in ("pytorch_model.bin", "vocab.json", "merges.txt", "tf_model.h5"):
        (folder / name).write_text("stale")
    (folder / "README.md").write_text("mine")
    second, weights = model_of(seed=2)
    save_pretrained(second, CONFIG, None, folder)

    assert {"README.md", "config.json", "generation_config.json", "model.safetensors"} == set(
        files(folder)
    )
    assert torch.equal(weights["wte.weight"], loaded(folder)["wte.weight"])


@pytest.mark.parametrize(
    ("method", "file"),
    [
        ("write_text", "config.json"),
        ("write_text", "generation_config.json"),
        ("write_text", "tokenizer.json"),
        ("write_text", "tokenizer_config.json"),
        ("open", "model.safetensors"),
    ],
)
def test_a_full_disk_leaves_the_old_model(tmp_path, tokenizer, monkeypatch, method, file):
    folder = tmp_path / "model"
    first, _ = model_of(seed=1)
    save_pretrained(first, CONFIG, tokenizer, folder)
    before = files(folder)
    real = getattr(Path, method)

    def full(self, *arguments, **named):
        if self.name == file:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *arguments, **named)

    second, _ = model_of(seed=2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, method, full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            save_pretrained(second, CONFIG, tokenizer, folder)

    assert [folder] == list(tmp_path.iterdir())
    assert before == files(folder)


def test_a_disk_that_fills_up_inside_the_weights_leaves_the_old_model(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "SLAB_BYTES", 256)
    folder = tmp_path / "model"
    first, weights = model_of(seed=1)
    save_pretrained(first, CONFIG, None, folder)
    real = shards._write_tensor  # noqa: SLF001 - where the bytes go
    left = [5]

    def fills_up(opened, tensor):
        real(opened, tensor)
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "_write_tensor", fills_up)
    second, _ = model_of(seed=2)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_pretrained(second, CONFIG, None, folder)

    assert [folder] == list(tmp_path.iterdir())
    assert torch.equal(weights["wte.weight"], loaded(folder)["wte.weight"])


def test_a_model_that_does_not_fit_its_config_is_refused(tmp_path):
    model, _ = model_of()
    config = CONFIG.model_copy(update={"n_positions": 11, "tie_word_embeddings": False})

    with pytest.raises(CheckpointError, match=r"do not fit the config: wpe.weight, lm_head.weight"):
        save_pretrained(model, config, None, tmp_path / "new")

    assert [] == list(tmp_path.iterdir())


def test_a_shard_needs_some_room(tmp_path):
    model, _ = model_of()

    with pytest.raises(OptionError, match="max_shard_size=0: expected 1 byte or more"):
        save_pretrained(model, CONFIG, None, tmp_path / "new", max_shard_size=0)
