"""Any installed architecture is loaded, planned, quantized, used and saved as GPT-2 is."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typing_extensions import override

from gpt2sdk import (
    Architecture,
    CausalLM,
    CheckpointError,
    CheckpointFormat,
    Generator,
    OpenedFile,
    OptionError,
    PluginConflictError,
    PluginContractError,
    Scores,
    hookimpl,
    open_tensors,
)
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.loading import LoadSettings, load, open_model, plan_load, quantize_checkpoint
from gpt2sdk.loading.planning import Planner
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableCache, tiny_gpt2, tiny_tokenizer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "26_own_architecture.py"
SIZE = 28


def offering(*components):
    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return components

    return Plugin()


@pytest.fixture(scope="module")
def example():
    spec = spec_from_file_location("own_architecture", EXAMPLE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(example, tmp_path_factory):
    """The example's architecture with drawn weights."""
    model = example.TrigramModel(SIZE)
    model.table.data.normal_(0.0, 2.0, generator=torch.Generator().manual_seed(3))
    folder = tmp_path_factory.mktemp("trigram")
    trigram = example.Trigram(vocab_size=SIZE)
    Generator(model, Letters(), architecture=trigram).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def gen(example, folder):
    return Generator.from_pretrained(folder, plugins=[example])


def test_a_folder_is_loaded_by_who_claims_it(gen, example):
    assert isinstance(gen.model, CausalLM)
    assert isinstance(gen.model, example.TrigramModel)
    assert example.Trigram(vocab_size=SIZE) == gen.architecture


def test_greedy_text_is_that_of_the_table(gen):
    row, table = Letters().encode("ab"), gen.model.table
    for _ in range(12):
        row.append(table[row[-2], row[-1]].argmax().item())

    assert (
        Letters().decode(row[2:]) == gen.generate("ab", strategy="greedy", max_new_tokens=12).text
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.7, "top_p": 0.8},
        {"guidance_scale": 1.5, "negative_prompt": "no"},
        {"bad_words": ["e", "ab"]},
        {"drafter": "prompt_lookup"},
        {"strategy": "beam", "num_beams": 3},
        {"strategy": "backtrack", "banned_phrases": ["a"]},
    ],
    ids=str,
)
def test_a_prompt_in_a_batch_gives_its_own_text(gen, options):
    prompts, seeds = ["the cat", "a", "so it is"], [4, 5, 6]
    options = {"max_new_tokens": 25, "batch_size": 2, **options}
    together = gen.generate(prompts, seed=seeds, **options)
    alone = [
        gen.generate(prompt, seed=seed, **options).text
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]

    assert alone == together.texts
    assert "".join(delta.text for delta in gen.stream("a", seed=5, **options)) == alone[1]


def test_constraints_hold(gen):
    result = gen.generate(["a"] * 8, seed=1, max_new_tokens=30, bad_words=["e", "t"])

    assert not set("et") & set("".join(result.texts))


def test_drafts_do_not_change_the_text(gen):
    options = {"seed": 3, "max_new_tokens": 60}

    assert gen.generate("ab", **options).text == (
        gen.generate("ab", drafter="prompt_lookup", **options).text
    )


def test_guidance_reads_the_other_prompt(gen):
    options = {"strategy": "greedy", "max_new_tokens": 1, "guidance_scale": 3.0}
    read, other = gen.model.table[0, 1].log_softmax(-1), gen.model.table[2, 3].log_softmax(-1)
    expected = (other + 3.0 * (read - other)).argmax().item()

    assert (expected,) == gen.generate("ab", negative_prompt="cd", **options).completions[0].tokens


def test_texts_are_scored(gen):
    table = gen.model.table.log_softmax(-1)
    expected = [table[0, 0, 1].item(), table[0, 1, 2].item()]

    assert expected == pytest.approx(list(gen.score("abc").logprobs))


def test_what_is_saved_again_is_the_same(gen, folder, tmp_path):
    gen.save_pretrained(tmp_path)

    assert {"model_type": "trigram", "dtype": "float32", "vocab_size": SIZE} == json.loads(
        (tmp_path / "config.json").read_text()
    )
    expected = load_file(folder / "model.safetensors")["table"]
    assert torch.equal(expected, load_file(tmp_path / "model.safetensors")["table"])


def test_a_dtype_is_taken(folder, example):
    gen = Generator.from_pretrained(folder, plugins=[example], dtype="bfloat16")

    assert torch.bfloat16 == gen.model.table.dtype


def test_a_config_that_nobody_claims_is_an_error_that_lists_who_claims_what(tmp_path, example):
    (tmp_path / "config.json").write_text('{"model_type": "fourgram"}')
    with pytest.raises(CheckpointError, match="no installed architecture claims it") as caught:
        load(tmp_path, registry=Registry([example]))

    assert "config.json: says model_type='fourgram'" in str(caught.value)
    assert "gpt2 claims model_type 'gpt2'" in str(caught.value)
    assert "trigram claims model_type 'trigram'" in str(caught.value)


def test_who_lacks_the_models_of_transformers_is_told_what_has_them(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    monkeypatch.setenv("GPT2SDK_PLUGINS", "gpt2sdk-sampling")

    with pytest.raises(CheckpointError, match="pip install gpt2sdk-transformers"):
        load(tmp_path, registry=Registry())


def test_a_config_without_sizes_or_type_is_nobodys(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="has no model_type, and no installed"):
        load(tmp_path)


def test_two_that_claim_a_config_are_a_conflict(folder, example):
    class Rival(example.Trigram):
        """Another one."""

    with pytest.raises(PluginConflictError, match="several architectures claim it"):
        load(folder, registry=Registry([example, offering(Rival)]))


def test_a_field_out_of_range_names_file_and_field(tmp_path, example):
    (tmp_path / "config.json").write_text('{"model_type": "trigram", "vocab_size": "many"}')
    with pytest.raises(CheckpointError, match=r"config\.json: vocab_size .* got 'many'"):
        load(tmp_path, registry=Registry([example]))


def test_weights_that_do_not_fit_are_all_named(tmp_path, folder, example):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file({"tabel": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="1 missing: table; 1 unexpected: tabel"):
        load(tmp_path, registry=Registry([example]))


def test_whoever_fails_is_named(folder, example):
    class Broken(Architecture):
        model_types = ("trigram",)

        @override
        def make_model(self, dtype):
            raise ZeroDivisionError("no")

    with pytest.raises(PluginContractError, match=r"the architecture broken failed on .*: no"):
        load(folder, registry=Registry([offering(Broken)]))


def test_a_model_that_is_none_is_the_plugins_fault(tmp_path):
    class NoModel(Architecture):
        model_types = ("none",)

        @override
        def make_model(self, dtype):
            return nn.Linear(2, 2)

        @override
        def tokenizer(self, folder):
            return Letters()

    (tmp_path / "config.json").write_text('{"model_type": "none"}')
    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(PluginContractError, match="no_model made a Linear: expected a CausalLM"):
        load(tmp_path, registry=Registry([offering(NoModel)]))


class Recurrent(Architecture):
    """A running state: what was read, mixed anew with each token."""

    model_types = ("recurrent",)
    vocab_size: int
    width: int = 128
    depth: int = 2

    @override
    def make_model(self, dtype):
        return RecurrentModel(self)


class RecurrentModel(nn.Module):
    """States are computed from what the cache holds, so that wrong bookkeeping shows."""

    context_length = 500

    def __init__(self, sizes):
        super().__init__()
        self.vocab_size, self.layers = sizes.vocab_size, sizes.depth
        self.embed = nn.Embedding(sizes.vocab_size, sizes.width)
        self.mix = nn.ModuleList(nn.Linear(sizes.width, sizes.width) for _ in range(sizes.depth))
        self.out = nn.Linear(sizes.width, sizes.vocab_size, bias=False)

    @property
    def device(self):
        return self.embed.weight.device

    def make_cache(self, slots):
        return TableCache(slots)

    @torch.no_grad()
    def score(self, cache, tokens, keep, hidden_states=()):
        kept = []
        for slot, fed, last in zip(cache.slots, tokens, keep, strict=True):
            slot.extend(fed)
            states, state = [], self.embed.weight.new_zeros(self.embed.embedding_dim)
            for token in slot:
                state = state + self.embed(torch.tensor(token))
                for mix in self.mix:
                    state = mix(state[None])[0].tanh()
                states.append(state)
            kept += states[len(states) - last :]
        width = self.embed.embedding_dim
        x = torch.stack(kept) if kept else self.embed.weight.new_zeros(0, width)
        return Scores(self.out(x).float(), dict.fromkeys(hidden_states, x.float()))


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A folder with a tokenizer in the layout that core reads, and one more end token."""
    folder = tmp_path_factory.mktemp("recurrent")
    tokenizer = tiny_tokenizer()
    torch.manual_seed(1)
    sizes = Recurrent(vocab_size=tokenizer.vocab_size)
    Generator(RecurrentModel(sizes), tokenizer, architecture=sizes).save_pretrained(folder)
    generation = {"eos_token_id": [tokenizer.eos_token_id, 7]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


class Trained(Recurrent):
    """Reads what a trainer of its own writes beside the weights."""

    model_types = ("trained",)
    eos_token_id: int | None = None

    @override
    @classmethod
    def claim(cls, files):
        said = files.model_args or {}
        if "hidden" not in said:
            return super().claim(files)
        return cls(vocab_size=said["words"], width=said["hidden"], eos_token_id=said["end"])

    @override
    def tokenizer(self, folder):
        return Letters()


def test_sizes_in_a_weight_file_are_read_by_who_claims_them(tmp_path):
    sizes = Trained(vocab_size=28, width=6)
    state = RecurrentModel(sizes).state_dict()
    args = {"words": 28, "hidden": 6, "end": 4}
    torch.save({"model": state, "model_args": args}, tmp_path / "ckpt.pt")
    loaded = load(tmp_path / "ckpt.pt", registry=Registry([offering(Trained)]))

    assert Trained(vocab_size=28, width=6, eos_token_id=4) == loaded.architecture
    assert () == loaded.plan.notes
    assert torch.equal(state["out.weight"], loaded.model.out.weight)
    gen = Generator.from_pretrained(tmp_path / "ckpt.pt", plugins=[offering(Trained)])
    assert (4,) == gen.end_tokens.ids


def test_sizes_in_a_weight_file_that_nobody_claims_are_named(tmp_path):
    content = {"model": {"w": torch.zeros(2)}, "model_args": {"dim": 8, "n_heads": 2}}
    torch.save(content, tmp_path / "ckpt.pt")
    message = r"ckpt\.pt: has model_args that name dim, n_heads, and no config\.json beside it, and"
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "ckpt.pt")


def test_parts_and_matrices_are_found_in_the_module(recurrent):
    plan = plan_load(recurrent, registry=Registry([offering(Recurrent)]))

    assert ["embed", "mix.0", "mix.1", "out"] == [part.name for part in plan.parts]
    assert [["mix.0.weight"], ["mix.1.weight"], ["out.weight"]] == [
        [each.matrix.name for each in part.matrices] for part in plan.parts[1:]
    ]
    assert sum(each.numel() for each in _state(recurrent).values()) == plan.parameters


class Packing(Recurrent):
    """Packs large matrices of a short type."""

    @override
    def packs(self, matrix, dtype, device):
        return dtype == torch.bfloat16 and matrix.shape[0] * matrix.shape[1] > 10**6


@pytest.mark.parametrize(("kind", "fast"), [(Recurrent, False), (Packing, True)])
def test_what_a_quantizer_leaves_is_short_where_the_architecture_computes_it_fast(
    recurrent, fakes, kind, fast
):
    registry = Registry([offering(kind, fakes.Byte)])
    opened = open_model(recurrent, registry=registry)
    settings = LoadSettings(quantization="auto")
    planner = Planner(opened, settings, registry, torch.device("cpu"))
    tried = [
        recipe.dtype
        for recipe in planner.candidates()
        if recipe.placement is None and isinstance(recipe.quantizer, fakes.Byte)
    ]

    assert tried == [torch.float32, torch.bfloat16][: 1 + fast]


def test_end_tokens_of_the_generation_config_count(recurrent):
    gen = Generator.from_pretrained(recurrent, plugins=[offering(Recurrent)])

    assert {7, tiny_tokenizer().eos_token_id} == gen.eos_token_ids


def test_shapes_are_followed_without_numbers():
    rows = {row.name: row for row in Recurrent(vocab_size=9, width=4).shapes(time=3)}

    assert ["embed", "mix.0", "mix.1", "out"] == list(rows)
    assert ("Linear", (1, 4), (1, 4), 20) == (
        rows["mix.1"].kind,
        rows["mix.1"].inputs,
        rows["mix.1"].outputs,
        rows["mix.1"].parameters,
    )
    assert ((3, 4), (3, 9)) == (rows["out"].inputs, rows["out"].outputs)


def test_shapes_that_depend_on_numbers_are_an_error():
    class Peeking(Recurrent):
        @override
        def pass_through(self, model, time):
            model.out.weight.sum().item()

    with pytest.raises(OptionError, match="the shapes in a peeking cannot be followed without"):
        Peeking(vocab_size=9).shapes()


def test_end_tokens_of_a_model_that_was_not_loaded_are_those_of_its_config():
    class Ending(Recurrent):
        eos_token_id: int | tuple[int, ...] | None = None

    def ends(**fields):
        sizes = Ending(vocab_size=28, **fields)
        return Generator(RecurrentModel(sizes), Letters(), architecture=sizes).end_tokens.ids

    assert () == ends()
    assert (5,) == ends(eos_token_id=5)
    assert (7, 5) == ends(eos_token_id=(7, 5))
    assert () == ends(eos_token_id=30)  # It has no row for that.


def test_matrices_are_quantized(recurrent):
    plugin = offering(Recurrent)
    gen = Generator.from_pretrained(recurrent, plugins=[plugin], quantization="int8")
    plain = Generator.from_pretrained(recurrent, plugins=[plugin])
    fed = [[1, 2, 3]]
    expected = plain.model.score(plain.model.make_cache(1), fed, [3]).logits
    found = gen.model.score(gen.model.make_cache(1), fed, [3]).logits

    assert "int8" == gen.quantizer.name
    assert not torch.equal(expected, found)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


def test_a_quantized_folder_is_read_back(recurrent, tmp_path):
    registry = Registry([offering(Recurrent)])
    quantize_checkpoint(recurrent, tmp_path / "int8", "int8", registry=registry)
    once = load(recurrent, LoadSettings(quantization="int8"), registry=registry).model
    again = load(tmp_path / "int8", registry=registry)
    fed = [[1, 2, 3]]

    assert "int8" == again.quantizer.name
    assert torch.equal(
        once.score(once.make_cache(1), fed, [3]).logits,
        again.model.score(again.model.make_cache(1), fed, [3]).logits,
    )


def test_a_file_format_speaks_for_any_architecture(recurrent, tmp_path):
    class Pointer(CheckpointFormat):
        suffix = ".pointer"

        @override
        def open(self, file):
            folder = Path(file.read_text())
            texts = {"tokenizer.json": (folder / "tokenizer.json").read_text()}
            config = json.loads((folder / "config.json").read_text())
            return OpenedFile(open_tensors(folder), config, texts)

    file = tmp_path / "model.pointer"
    file.write_text(str(recurrent))
    loaded = load(file, registry=Registry([offering(Recurrent, Pointer)]))

    assert isinstance(loaded.model, RecurrentModel)
    assert Recurrent(vocab_size=tiny_tokenizer().vocab_size) == loaded.architecture


def test_a_gpt2_that_was_not_loaded_is_saved_by_its_architecture(tmp_path):
    Generator(tiny_gpt2(), tiny_tokenizer()).save_pretrained(tmp_path)

    assert "gpt2" == json.loads((tmp_path / "config.json").read_text())["model_type"]


def test_what_is_saved_is_the_model_as_it_is_now(tmp_path):
    """Someone gave its head weights of its own after it was loaded."""
    Generator(tiny_gpt2(), tiny_tokenizer()).save_pretrained(tmp_path / "tied")
    gen = Generator.from_pretrained(tmp_path / "tied")
    gen.model.config = gen.model.config.model_copy(update={"tie_word_embeddings": False})
    gen.model.lm_head = GPT2(gen.model.config).lm_head
    gen.save_pretrained(tmp_path / "own")
    again = Generator.from_pretrained(tmp_path / "own").model

    assert torch.equal(gen.model.lm_head.dense(), again.lm_head.dense())


def test_a_model_that_nobody_knows_is_not_saved(tmp_path, example):
    gen = Generator(example.TrigramModel(SIZE), Letters())
    with pytest.raises(OptionError, match="none of the installed architectures knows"):
        gen.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_its_fields_are_no_options(gen):
    assert () == gen.registry.having("vocab_size")
    with pytest.raises(OptionError, match="there is no option vocab_size"):
        gen.generate("a", vocab_size=3)


def _state(folder):
    return load_file(folder / "model.safetensors")
