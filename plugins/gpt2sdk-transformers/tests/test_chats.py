"""Answers end where the chat template ends them, whether or not a file says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedModel

from gpt2sdk import Generator
from gpt2sdk.testing import tiny_tokenizer

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHAT = [{"role": "user", "content": "Who ran in?"}]
OPTIONS = {"strategy": "greedy", "max_new_tokens": 6}


@pytest.fixture
def gen(tiny: Tiny, tmp_path: Path) -> Generator:
    """A tiny Llama that was told of no end but its tokenizer's."""
    tiny_tokenizer().save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    special = ["<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.chat_template = CHATML
    tiny("llama")[1].save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return Generator.from_pretrained(tmp_path)


def test_answers_end_at_what_the_template_writes_behind_them(gen: Generator) -> None:
    end = gen.tokenizer.special_tokens["<|im_end|>"]
    assert end not in gen.eos_token_ids
    options = {**OPTIONS, "logit_bias": {end: 100.0}}
    result = gen.chat(CHAT, **options)
    assert result.completions[0].finish_reason == "end_token"
    assert result.completions[0].tokens in {(), (end,)}
    assert any("answers end at <|im_end|>" in note for note in result.notes)
    several = gen.chat([CHAT, CHAT], **options)
    assert {each.finish_reason for each in several.completions} == {"end_token"}
    # What is no chat goes on, and so does a chat that says where it ends.
    whole = gen.generate(gen.chat_prompt(CHAT), **options)
    assert len(whole.completions[0].tokens) == 6
    told = gen.chat(CHAT, eos_token_id=None, **options)
    assert len(told.completions[0].tokens) == 6
    assert not told.notes


def test_a_record_of_a_chat_says_where_it_ended(gen: Generator) -> None:
    end = gen.tokenizer.special_tokens["<|im_end|>"]
    first = gen.chat(CHAT, logit_bias={end: 3.0}, temperature=1.0, max_new_tokens=20, seed=1)
    again = gen.chat(CHAT, config=first.record)
    assert again.completions[0].tokens == first.completions[0].tokens
