"""Activations can be read and changed by name, in whole sequences and while generating."""

import pytest
import torch

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.model import GPT2

CONFIG = GPT2Config(
    vocab_size=13, n_positions=16, n_embd=8, n_layer=3, n_head=2, bos_token_id=0, eos_token_id=0
)
TOKENS = torch.tensor([[3, 1, 4, 1]])
WAYS = ["forward", "score", "prepared"]


def build(way="forward", runner=None, **changes):
    model = GPT2(CONFIG.model_copy(update=changes)).eval()
    if way == "prepared":
        model.prepare([runner])
        assert runner.name == model.runner.name
    return model


def logits(model, way):
    if way == "forward":
        with torch.no_grad():
            return model(TOKENS).logits[0]
    return model.score(model.make_cache(1), TOKENS.tolist(), [4]).logits


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tied", [True, False])
def test_every_module_is_called_under_its_name(runner, way, tied):
    model = build(way, runner, tie_word_embeddings=tied)

    with model.capture("*") as activations:
        logits(model, way)

    names = [name for name, _ in model.named_modules() if name not in {"", "h"}]
    assert names == list(activations)
    assert {1} == {len(outputs) for outputs in activations.values()}


@pytest.mark.parametrize("way", WAYS)
def test_outputs_and_inputs_fit_together(runner, way):
    model = build(way, runner)

    with model.capture("h.*.mlp*", "ln_f", inputs=True) as activations:
        logits(model, way)

    for layer in range(3):
        name = f"h.{layer}.mlp"
        given = activations.inputs[name][0]
        assert torch.equal(given, activations.inputs[f"{name}.c_fc"][0])
        expected = torch.nn.functional.gelu(activations[f"{name}.c_fc"][0], approximate="tanh")
        torch.testing.assert_close(expected, activations[f"{name}.act"][0])
    assert (8,) == activations["ln_f"][0].shape[-1:]


def test_scoring_gives_the_activations_of_the_whole_sequence(runner):
    model = build("prepared", runner)

    with model.capture("h.1") as whole:
        logits(model, "forward")
    with model.capture("h.1") as stepwise:
        cache = model.make_cache(1)
        for token in TOKENS[0].tolist():
            model.score(cache, [[token]], [1])

    assert 4 == len(stepwise["h.1"])
    torch.testing.assert_close(whole["h.1"][0][0], torch.cat(stepwise["h.1"]))


def test_activations_keep_their_graph():
    model = build()

    with model.capture("h.1") as activations:
        output = model(TOKENS)
    (gradient,) = torch.autograd.grad(output.logits.sum(), activations["h.1"][0])

    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("way", WAYS)
def test_a_patch_changes_what_follows_and_ends_with_its_block(runner, way):
    model = build(way, runner)
    before = logits(model, way)

    with model.patch("h.*", torch.zeros_like):
        patched = logits(model, way)

    assert torch.equal(patched[0], patched[1])
    assert torch.equal(before, logits(model, way))


def test_a_patch_by_hand():
    """Without attention and feed-forward layers, logits are the embeddings through the norm."""
    model = build()

    with model.patch({"h.*.attn": torch.zeros_like, "h.*.mlp": lambda out: out * 0.0}):
        got = logits(model, "score")

    with torch.no_grad():
        stream = model.wte(TOKENS[0]) + model.wpe(torch.arange(4))
        torch.testing.assert_close(model.ln_f(stream) @ model.wte.weight.T, got)


@pytest.mark.parametrize("way", WAYS)
def test_contexts_nest_and_later_ones_see_earlier_ones(runner, way):
    model = build(way, runner)

    with model.capture("h.0") as before, model.patch("h.0", lambda out: out + 1.0):
        with model.capture("h.0") as after:
            logits(model, way)
        logits(model, way)

    assert (2, 1) == (len(before["h.0"]), len(after["h.0"]))
    torch.testing.assert_close(before["h.0"][0] + 1.0, after["h.0"][0])


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_restores_the_model(runner, way):
    model = build(way, runner)
    before = logits(model, way)

    with pytest.raises(ZeroDivisionError), model.patch("h.0", torch.zeros_like):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), model.patch("h.0", lambda _: 1 / 0):
        logits(model, way)

    assert torch.equal(before, logits(model, way))


def test_a_failed_score_leaves_the_cache_as_it_was(runner):
    model = build("prepared", runner)
    cache = model.make_cache(1)
    model.score(cache, [[3, 1]], [1])

    with pytest.raises(ZeroDivisionError), model.patch("h.1", lambda _: 1 / 0):
        model.score(cache, [[5]], [1])

    expected = logits(model, "forward")[2:]
    assert (2,) == cache.lengths
    torch.testing.assert_close(expected, model.score(cache, [[4, 1]], [2]).logits)


def test_records_can_be_cleared():
    model = build()

    with model.capture("h.0", inputs=True) as activations:
        logits(model, "forward")
        activations.clear()

    assert ({"h.0": []}, {"h.0": []}) == (dict(activations), activations.inputs)


@pytest.mark.parametrize("use", [GPT2.capture, lambda m, name: m.patch(name, torch.neg)])
def test_a_name_that_is_none_names_close_ones(use):
    message = r"h\.0\.mpl: no module .* did you mean .*h\.0\.mlp"

    with pytest.raises(OptionError, match=message), use(build(), "h.0.mpl"):
        pass


def test_a_patch_must_keep_the_shape():
    model = build()

    message = r"h\.0: expected .*\(1, 4, 8\), got \(1, 4, 2\)"

    with pytest.raises(OptionError, match=message), model.patch("h.0", lambda out: out[..., :2]):
        logits(model, "forward")
    with pytest.raises(OptionError, match="got NoneType"), model.patch("h.0", lambda _: None):
        logits(model, "forward")


def test_a_patch_needs_a_name_and_a_function():
    model = build()

    with pytest.raises(OptionError, match="a function beside the name"), model.patch("h.0"):
        pass
    with (
        pytest.raises(OptionError, match="not both"),
        model.patch({"h.0": torch.neg}, torch.neg),
    ):
        pass
