"""The engine as a runner: chosen by itself, and in the place of the modules."""

import copy

import pytest
import torch

import gpt2sdk_native.runner as native
from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import save_tiny_model, tiny_gpt2
from gpt2sdk_native.runner import NativeRunner

TOKENS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3], [5, 8, 9, 7, 9]]
KEEP = [8, 1, 3]
LOADS = [
    {},
    {"dtype": "bfloat16"},
    {"quantization": "int8"},
    {"quantization": "int4"},
]
PROMPTS = ["a cat", "the dog and the cat and the dog", "b"]
DRAWN = {"max_new_tokens": 12, "temperature": 0.9, "top_k": 8, "logprobs": 0}


def prepared(seed=0):
    model = tiny_gpt2(seed)
    kernels = model.prepare([NativeRunner()])
    return model, kernels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(path)
    return path


def test_scores_are_those_of_the_torch_functions():
    model, kernels = prepared()
    expected = tiny_gpt2(0)
    expected.prepare()
    layers = list(range(model.layers + 1))
    ours = model.score(model.make_cache(3), TOKENS, KEEP, layers)
    theirs = expected.score(expected.make_cache(3), TOKENS, KEEP, layers)

    assert "native float32" == kernels["h.0.attn.c_attn"] == kernels["lm_head"]
    torch.testing.assert_close(theirs.logits, ours.logits, atol=1e-5, rtol=1e-5)
    for layer in layers:
        theirs_there, ours_there = theirs.hidden_states[layer], ours.hidden_states[layer]
        torch.testing.assert_close(theirs_there, ours_there, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_rows_have_the_same_bits_alone_in_batches_and_drafted(folder, load):
    gen = Generator.from_pretrained(folder, runner="native", **load)
    seeds = [7, 8, 9]

    together = gen.generate(PROMPTS, seed=seeds, **DRAWN)
    drafted = gen.generate(PROMPTS, seed=seeds, drafter="prompt_lookup", batch_size=2, **DRAWN)

    for index, (prompt, seed) in enumerate(zip(PROMPTS, seeds, strict=True)):
        (alone,) = gen.generate(prompt, seed=seed, **DRAWN).completions
        for other in (together.completions[index], drafted.completions[index]):
            assert alone.tokens == other.tokens
            assert alone.logprobs == other.logprobs


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_scoring_in_one_go_has_the_bits_of_generating(folder, load):
    gen = Generator.from_pretrained(folder, runner="native", **load)
    result = gen.generate(PROMPTS[0], seed=3, **DRAWN)
    (completion,) = result.completions
    prompt = gen.tokenizer.encode(PROMPTS[0])
    model = gen.model

    logits = model.score(
        model.make_cache(1), [[*prompt, *completion.tokens[:-1]]], [len(completion.tokens)]
    ).logits
    found = logits.double().log_softmax(-1)[range(len(logits)), list(completion.tokens)]

    again = model.score(model.make_cache(2), [[1], [*prompt]], [1, 1]).logits[1]
    assert torch.equal(logits[0], again)
    assert pytest.approx(list(completion.logprobs), abs=1e-5) == found.tolist()


def test_the_last_norm_and_the_head_give_the_same_logits_by_themselves():
    model, _ = prepared()
    scores = model.score(model.make_cache(1), TOKENS[:1], [8], [model.layers])

    assert torch.equal(
        scores.logits, model.unembed(model.final_norm(scores.hidden_states[model.layers]))
    )


def test_modules_compute_with_packed_weights_where_they_are_looked_into():
    model, _ = prepared()
    expected = model.score(model.make_cache(3), TOKENS, KEEP).logits
    with model.capture("h.*.mlp.c_fc") as found:
        logits = model.score(model.make_cache(3), TOKENS, KEEP).logits

    assert ["h.0.mlp.c_fc", "h.1.mlp.c_fc"] == sorted(found)
    assert torch.allclose(expected, logits, atol=1e-5)


def test_a_text_can_go_on_with_the_modules_and_come_back():
    model, _ = prepared()
    expected = model.score(model.make_cache(1), TOKENS[:1], [8]).logits
    cache = model.make_cache(1)
    model.score(cache, [TOKENS[0][:3]], [0])
    with model.capture("ln_f"):
        model.score(cache, [TOKENS[0][3:5]], [0])
    logits = model.score(cache, [TOKENS[0][5:]], [3]).logits

    assert torch.allclose(expected[5:], logits, atol=1e-5)


def test_weights_come_back_bit_for_bit():
    model, _ = prepared()
    before = tiny_gpt2(0).state_dict()
    kept = {name: each.clone() for name, each in model.state_dict().items()}
    copied = copy.deepcopy(model)
    model.train()

    for state in (kept, copied.state_dict(), model.state_dict()):
        assert before.keys() == state.keys()
        assert all(torch.equal(before[name], state[name]) for name in before)
    model(torch.tensor([[3, 1, 4]]), labels=torch.tensor([[3, 1, 4]])).loss.backward()
    assert model.wte.weight.grad is not None


def test_weights_that_change_are_packed_again():
    model, _ = prepared()
    before = model.score(model.make_cache(1), [[3, 1]], [1]).logits
    with torch.no_grad():
        model.ln_f.bias.add_(1.0)
    after = model.score(model.make_cache(1), [[3, 1]], [1]).logits
    model.unpack()
    expected = model(torch.tensor([[3, 1]])).logits[0, -1:]

    assert not torch.equal(before, after)
    assert torch.allclose(expected, after, atol=1e-4)


def test_each_matrix_is_held_once(folder):
    gen = Generator.from_pretrained(folder, runner="native")
    matrices = [name for name, each in gen.model.named_parameters() if each.is_meta]

    assert 4 * gen.model.layers + 1 == len(matrices)


def test_it_is_taken_where_it_can_run_the_model(folder):
    assert "native" == Generator.from_pretrained(folder).model.runner.name
    assert "native" == Generator.from_pretrained(folder, runner="native").model.runner.name
    assert "torch" == Generator.from_pretrained(folder, runner="torch").model.runner.name
    assert "torch" == Generator.from_pretrained(folder, dtype="float16").model.runner.name


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda model: model.half(), "is in float16"),
        (
            lambda model: setattr(model.h[1], "ln_2", torch.nn.Identity()),
            "h.1.ln_2 is another norm",
        ),
        (lambda model: setattr(model.ln_f, "eps", 1e-3), "has another epsilon than ln_f"),
        (
            lambda model: setattr(model.h[0].ln_1, "forward", torch.neg),
            "h.0.ln_1 has a forward of its own",
        ),
        (
            lambda model: setattr(model.h[1].mlp.act, "forward", torch.neg),
            "h.1.mlp.act has a forward",
        ),
        (lambda model: setattr(model.lm_head, "forward", torch.neg), "lm_head has a forward"),
        (lambda model: setattr(model.h[0].mlp, "act", torch.nn.ReLU()), "h.0.mlp.act is ReLU"),
        (
            lambda model: setattr(model.h[0].mlp, "c_fc", torch.nn.Linear(8, 32)),
            "h.0.mlp.c_fc is a Linear",
        ),
    ],
)
def test_what_it_cannot_run_it_says(change, why):
    model = tiny_gpt2(0)
    change(model)

    assert why in NativeRunner().probe(model, torch.device("cpu"))


def test_other_devices_are_refused(folder):
    assert "on CPUs, not on cuda" in NativeRunner().probe(None, torch.device("cuda"))


@pytest.fixture
def untried():
    native.broken.cache_clear()
    yield
    native.broken.cache_clear()


@pytest.mark.usefixtures("untried")
def test_a_library_that_computes_otherwise_is_not_used(folder, monkeypatch):
    score = native.NativeRunning.score

    def wrong(self, *arguments):
        found = score(self, *arguments)
        found.logits.add_(1.0)
        return found

    monkeypatch.setattr(native.NativeRunning, "score", wrong)
    with pytest.raises(OptionError, match="are not those of torch"):
        Generator.from_pretrained(folder, runner="native")

    gen = Generator.from_pretrained(folder)
    assert "torch" == gen.model.runner.name
    assert any("not the runner native: its results" in note for note in gen.notes)


@pytest.mark.usefixtures("untried")
def test_a_missing_library_is_said(monkeypatch):
    def missing():
        raise OSError("no such file")

    monkeypatch.setattr(native, "isa", missing)

    assert "was not built" in NativeRunner().probe(None, torch.device("cpu"))


@pytest.mark.usefixtures("untried")
def test_plain_c_is_not_taken_unless_it_is_named(monkeypatch):
    monkeypatch.delenv("GPT2SDK_NATIVE_ISA", raising=False)
    monkeypatch.setattr(native, "isa", lambda: "scalar")
    assert "no instructions that it is fast with" in NativeRunner().probe(None, torch.device("cpu"))

    native.broken.cache_clear()
    monkeypatch.setenv("GPT2SDK_NATIVE_ISA", "scalar")
    assert NativeRunner().probe(None, torch.device("cpu")) is None
