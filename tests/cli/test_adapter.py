"""`--adapter`: what a plugin does to the model is in what it writes and scores."""

import pytest

TEXT = "Once upon a time"

TAKER = '''
from gpt2sdk import CheckpointError, hookimpl


@hookimpl
def gpt2sdk_load_adapter(model, folder):
    """Double the last norm's factors, so that every logit is another."""
    if folder.name == "broken":
        raise CheckpointError(f"{folder}: expected an adapter", path=folder)
    model.ln_f.weight.data *= 2
    return True
'''


@pytest.fixture
def taker(tmp_path):
    file = tmp_path / "taker.py"
    file.write_text(TAKER)
    return str(file)


@pytest.mark.parametrize(
    "words",
    [("score",), ("generate", "--quiet", "--seed", "3", "--max-new-tokens", "12")],
    ids=lambda words: words[0],
)
def test_commands_that_load_a_model_put_an_adapter_in(invoke, model, taker, words):
    command, *flags = words
    plain = invoke(command, model, TEXT, *flags)
    adapted = invoke(command, model, TEXT, *flags, "--adapter", "tone", "--plugin", taker)

    assert (0, 0) == (plain.exit_code, adapted.exit_code)
    assert plain.stdout != adapted.stdout


def test_an_adapter_that_nobody_takes_says_what_does(invoke, model):
    ran = invoke("generate", model, TEXT, "--adapter", "tone")

    assert 2 == ran.exit_code
    assert "adapter tone: no installed plugin takes it; gpt2sdk-train takes LoRA" in ran.stderr
    assert "pip install gpt2sdk-train" in ran.stderr


def test_a_broken_adapter_is_an_error_of_the_command(invoke, model, taker):
    ran = invoke("score", model, TEXT, "--adapter", "broken", "--plugin", taker)

    assert 2 == ran.exit_code
    assert "broken: expected an adapter" in ran.stderr
