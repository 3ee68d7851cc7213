"""GPT2Config reads config files of every age, refuses what does not fit, and writes it all back."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.config import GPT2Config
from gpt2sdk.config_files import read_json
from gpt2sdk.errors import CheckpointError, OptionError

# OpenAI's release as it lay on the hub in 2019: no model_type, no switches, `n_ctx` beside
# `n_positions`.
OLDEST = {
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "vocab_size": 50257,
}
OLD = OLDEST | {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "gradient_checkpointing": False,
    "model_type": "gpt2",
    "summary_first_dropout": 0.1,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "torch_dtype": "float16",
}


def write(folder, config, generation=None):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def test_defaults_are_those_of_gpt2_small():
    config = GPT2Config()

    assert (50257, 1024, 768, 12, 12) == (
        config.vocab_size,
        config.n_positions,
        config.n_embd,
        config.n_layer,
        config.n_head,
    )
    assert (64, 3072, 50256) == (config.head_size, config.inner_size, config.eos_token_id)


def test_defaults_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2Config().to_dict()
    ours = GPT2Config().to_dict()

    shared = set(ours) - {"architectures"}
    assert {key: theirs[key] for key in shared} == {key: ours[key] for key in shared}


def test_the_inner_size_is_four_times_the_width_unless_given():
    assert 384 == GPT2Config(n_embd=96).inner_size
    assert 100 == GPT2Config(n_embd=96, n_inner=100).inner_size


def test_a_config_is_a_value():
    config = GPT2Config(n_embd=96, eos_token_id=[1, 2])
    same = GPT2Config(n_embd=96, eos_token_id=(1, 2))

    assert same == config
    assert hash(same) == hash(config)
    assert config == pickle.loads(pickle.dumps(config))  # noqa: S301 - written one line above
    with pytest.raises(Exception, match="frozen"):
        config.n_embd = 12


@pytest.mark.parametrize("values", [OLDEST, OLD])
def test_old_files_are_read(values):
    config = GPT2Config.from_dict(values)

    assert (768, 1024, True) == (config.n_embd, config.n_positions, config.scale_attn_weights)
    assert values.get("torch_dtype") == config.dtype


def test_the_other_names_of_a_field_are_read():
    names = {
        "model_type": "gpt2",
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "max_position_embeddings": 64,
    }

    config = GPT2Config.from_dict(names)

    assert (32, 4, 3, 64) == (config.n_embd, config.n_head, config.n_layer, config.n_positions)
    assert {} == config.extra


def test_a_file_that_names_a_field_twice_must_agree_with_itself():
    assert 768 == GPT2Config.from_dict(OLD | {"hidden_size": 768}).n_embd
    with pytest.raises(CheckpointError, match=r"^hidden_size=32: expected the same as n_embd=768$"):
        GPT2Config.from_dict(OLD | {"hidden_size": 32})


def test_the_context_is_that_of_n_positions_and_of_n_ctx_where_it_stands_alone():
    alone = {key: value for key, value in OLD.items() if key != "n_positions"} | {"n_ctx": 512}

    assert 512 == GPT2Config.from_dict(alone).n_positions
    assert 1024 == GPT2Config.from_dict(OLD | {"n_ctx": 512}).n_positions


def test_unknown_keys_are_kept_and_written_back():
    config = GPT2Config.from_dict(OLD)
    written = config.to_dict()

    assert OLD["task_specific_params"] == config.extra["task_specific_params"]
    assert config == GPT2Config.from_dict(written)
    assert {key: OLD[key] for key in config.extra} == {key: written[key] for key in config.extra}
    assert {"summary_first_dropout", "gradient_checkpointing"} <= set(config.extra)


def test_what_is_written_names_the_model_and_no_dtype_that_is_not_known():
    written = GPT2Config().to_dict()

    assert ("gpt2", ["GPT2LMHeadModel"]) == (written["model_type"], written["architectures"])
    assert "dtype" not in written
    assert "bfloat16" == GPT2Config(dtype="bfloat16").to_dict()["dtype"]


@given(
    st.builds(
        GPT2Config,
        vocab_size=st.integers(1, 10**6),
        n_embd=st.integers(1, 64).map(lambda heads: 12 * heads),
        n_inner=st.none() | st.integers(1, 9999),
        layer_norm_epsilon=st.floats(1e-12, 1.0),
        attn_pdrop=st.floats(0, 1),
        eos_token_id=st.none() | st.integers(0, 99) | st.lists(st.integers(0, 99), min_size=1),
        tie_word_embeddings=st.booleans(),
        dtype=st.sampled_from([None, "float16", "bfloat16"]),
        extra=st.dictionaries(st.sampled_from(["a", "b"]), st.integers() | st.lists(st.text())),
    )
)
def test_what_is_written_reads_back_the_same(config):
    assert config == GPT2Config.from_dict(json.loads(json.dumps(config.to_dict())))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_head": 7}, "n_head=7: expected a divisor of n_embd=768"),
        ({"n_embd": "768"}, "n_embd='768': expected a valid integer"),
        ({"n_embd": True}, "n_embd=True: expected a valid integer"),
        ({"n_layer": 0}, "n_layer=0: expected greater than or equal to 1"),
        ({"attn_pdrop": 1.5}, "attn_pdrop=1.5: expected less than or equal to 1"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon=nan: expected a finite number"),
        ({"eos_token_id": [1, -1]}, "eos_token_id=[1, -1]: expected a token id or a list of them"),
        ({"eos_token_id": "x"}, "eos_token_id='x': expected a token id or a list of them"),
        ({"activation_function": "swiglu"}, "activation_function='swiglu': expected 'gelu', "),
        ({"dtype": "int8"}, "dtype='int8': expected 'float64', 'float32', 'float16' or 'bfloat16'"),
        ({"n_embed": 96}, "n_embed: no such field of GPT2Config; did you mean n_embd?"),
    ],
)
def test_a_bad_field_is_one_line_that_names_it(fields, message):
    with pytest.raises(OptionError) as error:
        GPT2Config(**fields)

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert fields == {error.value.name: pytest.approx(error.value.value, nan_ok=True)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layer": -1}, "n_layer=-1: expected greater than or equal to 1"),
        ({"layer_norm_epsilon": None}, "layer_norm_epsilon=None: expected a valid number"),
        ({"model_type": "gpt_bigcode"}, "model_type='gpt_bigcode': expected 'gpt2'"),
        ({"model_type": "gpt_neo"}, "model_type='gpt_neo': expected 'gpt2'"),
        ({"add_cross_attention": True}, "add_cross_attention=True: expected False, as in GPT-2"),
        (
            {"attention_head_type": "multiquery"},
            "attention_head_type='multiquery': expected 'multihead', as in GPT-2",
        ),
    ],
)
def test_a_bad_file_is_one_line_that_names_file_and_field(tmp_path, change, message):
    folder = write(tmp_path, OLD | change)

    with pytest.raises(CheckpointError) as error:
        GPT2Config.from_folder(folder)

    assert str(error.value).startswith(f"{folder / 'config.json'}: {message}")
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_refused():
    with pytest.raises(CheckpointError, match="expected model_type='gpt2' or the sizes"):
        GPT2Config.from_dict({"hidden_size": 768})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "expected JSON"), ("[1]", "expected a JSON object, found a list"), (None, "found none")],
)
def test_an_unreadable_file_is_an_error(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)

    with pytest.raises(CheckpointError, match=message):
        GPT2Config.from_folder(tmp_path)


def test_end_tokens_of_both_files_are_told_apart(tmp_path):
    generation = {"eos_token_id": [7, 8], "pad_token_id": 0, "temperature": 0.7}
    folder = write(tmp_path, OLD | {"eos_token_id": 5}, generation)
    config = GPT2Config.from_folder(folder)

    assert ((5,), (7, 8)) == (config.written_end_tokens, config.generation_end_tokens)
    assert generation == config.generation
    assert None is config.pad_token_id


def test_a_generation_config_may_name_no_end_token(tmp_path):
    folder = write(tmp_path, OLD | {"eos_token_id": 5}, {"do_sample": True, "eos_token_id": None})
    config = GPT2Config.from_folder(folder)

    assert ((5,), ()) == (config.written_end_tokens, config.generation_end_tokens)


def test_the_default_end_token_is_not_written():
    assert ((), (50256,)) == (
        GPT2Config().written_end_tokens,
        GPT2Config(eos_token_id=50256).written_end_tokens,
    )
    assert "eos_token_id" not in GPT2Config().to_dict()
    assert GPT2Config(eos_token_id=None).to_dict()["eos_token_id"] is None


@pytest.mark.parametrize(
    ("ids", "expected"), [(-1, None), ([-1, 5], (5,)), ([-1], None), (None, None), (0, 0)]
)
def test_a_negative_id_is_none(tmp_path, ids, expected):
    values = OLD | {"eos_token_id": ids, "pad_token_id": -1, "bos_token_id": None}
    folder = write(tmp_path, values, {"eos_token_id": ids, "pad_token_id": -1})
    config = GPT2Config.from_folder(folder)

    found = (config.eos_token_id, config.pad_token_id, config.bos_token_id)
    assert (expected, None, None) == found
    assert config.written_end_tokens == config.generation_end_tokens


def test_what_only_other_programs_need_refuses_no_model(tmp_path):
    folder = write(tmp_path, OLD, {"pad_token_id": "<pad>", "bos_token_id": [1]})

    assert {"pad_token_id": "<pad>", "bos_token_id": [1]} == (
        GPT2Config.from_folder(folder).generation
    )


def test_a_wrong_end_token_names_its_file(tmp_path):
    folder = write(tmp_path, OLD, {"eos_token_id": "<|im_end|>"})

    with pytest.raises(
        CheckpointError,
        match=r"generation_config\.json: eos_token_id='<\|im_end\|>': expected a token id",
    ):
        GPT2Config.from_folder(folder)


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('\ufeff{"n_layer": 3}', encoding="utf-8")

    assert {"n_layer": 3} == read_json(file)
