"""Arguments in messages: in Python's words, or in those of whoever calls."""

import pytest

from gpt2sdk import argument
from gpt2sdk.cli.flags import flag
from gpt2sdk.mention import spelled_as


def test_python_is_spoken_by_default():
    assert "max_memory=" == argument("max_memory")
    assert "placement='auto'" == argument("placement", "auto")


def test_another_language_is_spoken_until_its_context_ends():
    with spelled_as(flag):
        assert "--placement auto" == argument("placement", "auto")
    with pytest.raises(ArithmeticError), spelled_as(flag):
        raise ArithmeticError

    assert "placement='auto'" == argument("placement", "auto")


@pytest.mark.parametrize(
    ("mention", "expected"),
    [
        (("max_memory",), "--memory"),
        (("max_memory", {0: "2GB", "cpu": "1GB"}), "--memory cuda:0=2GB,cpu=1GB"),
        (("max_memory", 5), "--memory 5"),
        (("local_files_only", True), "--offline"),
        (("stop", ["a b"]), """-o 'stop=["a b"]'"""),
        (("min_p", 0.1), "-o min_p=0.1"),
        (("token",), "HF_TOKEN= (or log in: hf auth login)"),
    ],
)
def test_arguments_are_flags_or_options_on_the_command_line(mention, expected):
    name, *value = mention

    assert expected == flag(name, tuple(value))
