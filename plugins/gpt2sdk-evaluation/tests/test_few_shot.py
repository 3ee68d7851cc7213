"""Few-shot prompts, and the answers to them."""

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_evaluation import FewShot

EXAMPLES = [("2 + 2", "4"), ("3 + 5", "8")]


def test_a_prompt_is_instruction_examples_and_query():
    task = FewShot(instruction="Add.", examples=EXAMPLES)

    expected = """Add.

Input: 2 + 2
Output: 4

Input: 3 + 5
Output: 8

Input: 1 + 1
Output:"""
    assert expected == task.prompt("1 + 1")


def test_prefixes_and_separator_are_free():
    task = FewShot(examples=EXAMPLES, input_prefix="Q: ", output_prefix="\nA: ", separator="\n--\n")

    assert task.prompt("x") == "Q: 2 + 2\nA: 4\n--\nQ: 3 + 5\nA: 8\n--\nQ: x\nA:"
    assert (task.stop, task.answer(" y \n--\nQ: z")) == (("\n--\n",), "y")


def test_without_examples_the_query_remains():
    assert FewShot().prompt("1 + 1") == "Input: 1 + 1\nOutput:"


def test_the_answer_ends_at_the_stop_string():
    # The letters stand for what a model goes on with; "." separates the examples.
    letters = Letters()
    gen = Generator(TableModel(bias={27: 1.0}), letters, decoder=letters, eos_token_ids=[])
    task = FewShot(examples=[("ab", "cd")], input_prefix="", output_prefix=" ", separator=".")
    prompt = task.prompt("ef")

    whole = gen.generate(prompt, max_new_tokens=60, seed=1).text
    stopped = gen.generate(prompt, max_new_tokens=60, seed=1, stop=task.stop)

    assert prompt == "ab cd.ef"
    assert "." in whole
    assert stopped.completions[0].finish_reason == "stop_string"
    assert task.answer(whole) == task.answer(stopped.text) == stopped.text.strip()


def test_without_the_plugin_stop_says_what_to_install(monkeypatch):
    monkeypatch.setenv("GPT2SDK_PLUGINS", "")
    from gpt2sdk.plugins.host import default_host
    from gpt2sdk.plugins.registry import default_registry

    default_host.cache_clear()
    default_registry.cache_clear()
    letters = Letters()
    gen = Generator(TableModel(), letters, decoder=letters, eos_token_ids=[])
    try:
        with pytest.raises(OptionError, match="gpt2sdk-stopping"):
            gen.generate("ab", stop=FewShot().stop)
    finally:
        default_host.cache_clear()
        default_registry.cache_clear()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"examples": [("a", "b\n\nc")]}, r"outputs without the separator '\\n\\n'"),
        ({"separator": ""}, "separator should have at least 1 character"),
        ({"examples": [("a",)]}, "examples"),
        ({"suffix": "x"}, "suffix is not an option of few_shot"),
    ],
)
def test_what_cannot_be_answered_is_an_error(fields, message):
    with pytest.raises(OptionError, match=message):
        FewShot(**fields)
