"""Who loads a model with another library's arguments is told what they are called here."""

import inspect
import re
from collections import Counter

import pytest
from transformers import BitsAndBytesConfig, PreTrainedModel

from gpt2sdk import Generator, OptionError
from gpt2sdk.generator.load_words import LOAD_WORDS, LOADS_ELSEWHERE

OURS = set(inspect.signature(Generator.from_pretrained).parameters)

# vLLM's `LLM`, llama-cpp-python's `Llama`, and transformers' `pipeline`.
ELSEWHERE = """
    tokenizer tokenizer_mode trust_remote_code tensor_parallel_size gpu_memory_utilization
    swap_space cpu_offload_gb enforce_eager hf_overrides kernel_config download_dir load_format
    max_model_len tokenizer_revision code_revision hf_token

    model_path n_gpu_layers main_gpu tensor_split use_mmap use_mlock n_ctx n_threads lora_path
    lora_base flash_attn verbose filename

    task config framework use_fast device_map torch_dtype model_kwargs use_auth_token
"""


def refusal(**arguments):
    with pytest.raises(OptionError) as caught:
        Generator.from_pretrained("no such model", **arguments)
    assert "\n" not in str(caught.value)
    return caught.value


def test_every_argument_of_transformers_has_an_answer():
    loading = PreTrainedModel.from_pretrained
    named = set(inspect.signature(loading).parameters) - {"kwargs", "cls"}
    popped = set(re.findall(r'kwargs\.pop\("(\w+)"', inspect.getsource(loading)))
    of_calls = {"generation_config"}
    passed_on_by_itself = {"_from_pipeline", "_from_auto"}

    assert {"device_map", "subfolder"} <= popped
    theirs = (named | popped) - of_calls - passed_on_by_itself
    assert set() == theirs - OURS - LOADS_ELSEWHERE.keys()


def test_every_field_of_a_bitsandbytes_config_has_an_answer():
    fields = set(inspect.signature(BitsAndBytesConfig).parameters) - {"kwargs"}

    assert set() == fields - LOADS_ELSEWHERE.keys()


def test_arguments_of_other_libraries_have_an_answer():
    assert set() == set(ELSEWHERE.split()) - OURS - LOADS_ELSEWHERE.keys()


def test_a_name_is_answered_once_and_only_if_it_is_no_argument_here():
    names = Counter(name for row in LOAD_WORDS for name in row.names)

    assert {} == {name: count for name, count in names.items() if count > 1}
    assert set() == names.keys() & OURS


def test_hints_name_arguments_that_exist_and_no_others():
    elsewhere = {"offload_folder", "bnb_int8", "bnb_nf4", "huggingface_hub", "context_length"}
    elsewhere |= {"gpt2sdk_train"}
    for row in LOAD_WORDS:
        mentioned = set(re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b|\b\w+(?==)", row.hint))
        assert set(row.here) <= OURS
        assert set() == {name for name in row.here if not re.search(rf"\b{name}\b", row.hint)}
        assert set() == mentioned - set(row.here) - elsewhere


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("load_in_8bit", 'load_in_8bit: quantization="int8", or "bnb_int8" for'),
        ("torch_dtype", 'dtype takes a torch dtype or its name, such as "bfloat16"'),
        ("device_map", "placement takes a device map or a name"),
        ("trust_remote_code", "no code of a repository is ever run"),
        ("load_in_8_bit", 'load_in_8_bit: quantization="int8"'),
        ("devic", "from_pretrained has no argument devic: did you mean device?"),
        ("quantisation", "did you mean quantization?"),
        ("temperature", "the options of a call are given to generate and stream"),
        ("pad_token_id", "the options of a call are given to generate and stream"),
        ("wood", "it has name, dtype, device, quantization, placement, max_memory, runner"),
    ],
)
def test_loading_is_answered_in_our_words_before_any_work(argument, message):
    error = refusal(**{argument: 1})

    assert message in str(error)
    assert (argument, 1) == (error.name, error.value)


def test_the_signature_has_no_more_than_what_there_is():
    kinds = {each.kind for each in inspect.signature(Generator.from_pretrained).parameters.values()}

    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
