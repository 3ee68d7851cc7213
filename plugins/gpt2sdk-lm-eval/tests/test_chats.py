"""Chats in the harness: what templates write is what the harness's own `hf` model is given."""

import json

import pytest

pytest.importorskip("lm_eval", reason="needs lm_eval: pip install -r requirements-dev.txt")
pytest.importorskip("gpt2sdk_transformers", reason="what loads these models comes from there")

import torch
from lm_eval.api.instance import Instance
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gpt2sdk import OptionError
from gpt2sdk.testing import tiny_tokenizer
from gpt2sdk_lm_eval import GPT2SDKLM

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    + TEMPLATE
)
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who ran in?"},
    {"role": "assistant", "content": " the rat"},
    {"role": "user", "content": "é – and then?"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a tiny Llama that has chats."""
    folder = tmp_path_factory.mktemp("llama")
    tiny_tokenizer().save(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = TEMPLATE
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    torch.manual_seed(0)
    ends = {"eos_token_id": 277, "bos_token_id": 277, "pad_token_id": 277}
    network = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), num_attention_heads=2, **ends, **sizes)
    )
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) / 5
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def theirs(folder):
    """Return the harness's own model."""
    return HFLM(pretrained=folder, device="cpu", batch_size=4, max_length=256)


@pytest.fixture(scope="module")
def ours(folder):
    """Return ours."""
    return GPT2SDKLM(folder, device="cpu", max_length=256)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("messages", [CHAT, CHAT[1:], CHAT[1:2]], ids=len)
def test_chats_are_written_as_by_hf(theirs, ours, messages, begun):
    expected = theirs.apply_chat_template(messages, add_generation_prompt=not begun)
    assert expected == ours.apply_chat_template(messages, add_generation_prompt=not begun)
    assert theirs.tok_encode(expected) == ours.tok_encode(expected)


def test_the_template_that_is_noted_is_that_of_hf(theirs, ours):
    assert [theirs.chat_template(chosen) for chosen in (False, True)] == [
        ours.chat_template(chosen) for chosen in (False, True)
    ]
    with pytest.raises(ValueError, match="apply_chat_template tools: the tokenizer has default"):
        ours.chat_template("tools")
    assert TEMPLATE == ours.chat_template("default")


def test_a_template_without_system_messages_gets_none(folder):
    theirs, ours = HFLM(pretrained=folder, device="cpu"), GPT2SDKLM(folder, device="cpu")
    theirs.tokenizer.chat_template = WITHOUT_SYSTEM
    ours._template = WITHOUT_SYSTEM  # noqa: SLF001 - as if the tokenizer had it
    assert theirs.apply_chat_template(CHAT) == ours.apply_chat_template(CHAT)
    ours._template = "{{ raise_exception('never') }}"  # noqa: SLF001 - likewise
    with pytest.raises(OptionError, match="the chat template"):
        ours.apply_chat_template(CHAT[1:])


def test_answers_are_those_of_hf(theirs, ours):
    context = ours.apply_chat_template(CHAT)
    pairs = [(context, text) for text in (" the rat", "é", " on and on<|im_end|>")]
    asked = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    expected = theirs.loglikelihood(asked, disable_tqdm=True)
    found = ours.loglikelihood(asked, disable_tqdm=True)
    assert [each[0] for each in found] == pytest.approx([each[0] for each in expected], abs=1e-3)
    limits = {"until": ["<|im_end|>", "a"], "max_gen_toks": 12}
    asked = [Instance("generate_until", {}, (context, limits), 0)]
    assert theirs.generate_until(asked, disable_tqdm=True) == ours.generate_until(asked)


@pytest.mark.slow
@pytest.mark.parametrize("multiturn", [False, True])
def test_tasks_in_chats_have_the_results_of_hf(theirs, ours, multiturn, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    documents = [
        {"question": f"Who ran {where}?", "choices": ["the cat", "the rat"], "answer": number % 2}
        for number, where in enumerate(["in", "on", "up", "out"])
    ]
    data = tmp_path / "documents.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in documents))
    (tmp_path / "choice.yaml").write_text(
        f"""task: tales_choice
output_type: multiple_choice
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
"""
    )
    options = {
        "tasks": ["tales_choice"],
        "task_manager": TaskManager(include_path=str(tmp_path), include_defaults=False),
        "bootstrap_iters": 0,
        "log_samples": True,
        "num_fewshot": 1,
        "apply_chat_template": True,
        "fewshot_as_multiturn": multiturn,
        "system_instruction": "Be brief.",
    }
    expected, found = (simple_evaluate(model=each, **options) for each in (theirs, ours))
    pairs = zip(expected["samples"]["tales_choice"], found["samples"]["tales_choice"], strict=True)
    for one, other in pairs:
        assert one["arguments"] == other["arguments"]
        wanted = [float(each[0][0]) for each in one["resps"]]
        assert [float(each[0][0]) for each in other["resps"]] == pytest.approx(wanted, abs=1e-3)
