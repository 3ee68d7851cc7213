"""The same weights give transformers' logits, loss, gradients, hidden states and attention maps."""

import pytest
import torch

from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-4
SIZES = {"vocab_size": 67, "n_positions": 40, "n_embd": 48, "n_layer": 3, "n_head": 4}
# Between them these vary every field, and every activation that a checkpoint may name.
CONFIGS = {
    "plain": {},
    "exact gelu": {"activation_function": "gelu", "n_layer": 2, "resid_pdrop": 0.0},
    "relu, one head": {"activation_function": "relu", "n_head": 1, "embd_pdrop": 0.3},
    "silu, narrow": {"activation_function": "silu", "n_inner": 32, "attn_pdrop": 0.5},
    "tanh, wide": {"activation_function": "tanh", "n_inner": 300, "bos_token_id": 1},
    "quick gelu, one layer": {"activation_function": "quick_gelu", "n_layer": 1, "pad_token_id": 3},
    "fast gelu, untied": {"activation_function": "gelu_fast", "tie_word_embeddings": False},
    "torch's gelu, coarse norms": {
        "activation_function": "gelu_pytorch_tanh",
        "layer_norm_epsilon": 0.1,
    },
    "unscaled": {"scale_attn_weights": False, "initializer_range": 0.1, "use_cache": False},
    "scaled by layer": {"scale_attn_by_inverse_layer_idx": True, "eos_token_id": [1, 2]},
    "upcast": {"reorder_and_upcast_attn": True, "n_embd": 60, "n_head": 6},
    "all switches, packed sizes": {
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
        "tie_word_embeddings": False,
        "vocab_size": 311,
        "n_positions": 50,
        "n_embd": 256,
        "n_head": 8,
        "n_inner": 512,
        "initializer_range": 0.08,
    },
}
# What an attention map or an upcast score is, transformers says in its eager attention only.
EAGER = {"upcast", "all switches, packed sizes"}


def pair(name, *, eager=False):
    """Build both models with the same weights; large ones, so that every switch shows."""
    values = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}
    values = values | SIZES | CONFIGS[name]
    torch.manual_seed(0)
    kind = "eager" if eager or name in EAGER else "sdpa"
    config = transformers.GPT2Config(**values, attn_implementation=kind)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    for parameter in theirs.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    ours = GPT2(GPT2Config.from_dict({"model_type": "gpt2"} | values))
    copy_weights(theirs, ours)
    return theirs, ours.eval()


def copy_weights(theirs, ours):
    state = theirs.state_dict()
    ours.load_state_dict(
        {
            name: value.T if name.endswith(GPT2.stored_transposed) else value
            for name in ours.state_dict()
            for value in [state[name if name.startswith("lm_head") else f"transformer.{name}"]]
        }
    )


def batch(config, rows=5, seed=0):
    """Random rows of different lengths, one of them full."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, config.n_positions, (rows - 1,), generator=generator).tolist()
    return [
        torch.randint(config.vocab_size, (length,), generator=generator).tolist()
        for length in [config.n_positions, *lengths]
    ]


def logits_of(theirs, row):
    with torch.no_grad():
        return theirs(torch.tensor([row])).logits[0]


def distance(expected, got):
    """The largest difference, in parts of the logits' range."""
    return float((expected - got).abs().max() / (expected.max() - expected.min()))


def scored_in_chunks(model, rows, seed):
    """Feed a ragged batch in random pieces, some of them empty, and collect every position."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([0, 1, 1, 2, 3, 11])
    cache = model.make_cache(len(rows))
    collected = [[] for _ in rows]
    while any(len(got) < len(row) for got, row in zip(collected, rows, strict=True)):
        drawn = sizes[torch.randint(len(sizes), (len(rows),), generator=generator)].tolist()
        chunks = [
            row[len(got) : len(got) + size]
            for got, row, size in zip(collected, rows, drawn, strict=True)
        ]
        counts = [len(chunk) for chunk in chunks]
        logits = model.score(cache, chunks, counts).logits
        for got, part in zip(collected, logits.split(counts), strict=True):
            got.extend(part)
    return [torch.stack(got) for got in collected]


def test_the_configurations_vary_every_field():
    varied = {field for changes in CONFIGS.values() for field in changes}

    assert set(GPT2Config.model_fields) - {"dtype", "extra", "generation"} == varied


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_transformers(name):
    theirs, ours = pair(name)
    rows = batch(ours.config)

    for row in rows:
        with torch.no_grad():
            got = ours(torch.tensor([row])).logits[0]
        assert distance(logits_of(theirs, row), got) < TOLERANCE


def assert_scores_are_those_of(theirs, ours):
    rows = batch(ours.config)
    for row, got in zip(rows, scored_in_chunks(ours, rows, seed=1), strict=True):
        assert distance(logits_of(theirs, row), got) < TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_with_a_cache_are_those_of_transformers(name):
    assert_scores_are_those_of(*pair(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_every_runner_are_those_of_transformers(name, run_by):
    theirs, ours = pair(name)

    assert_scores_are_those_of(theirs, run_by(ours))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("exact gelu", {"activation_function": "gelu_new"}),
        ("silu, narrow", {"activation_function": "quick_gelu"}),
        ("torch's gelu, coarse norms", {"layer_norm_epsilon": 1e-5}),
        ("unscaled", {"scale_attn_weights": True}),
        ("scaled by layer", {"scale_attn_by_inverse_layer_idx": False}),
        ("plain", {"n_head": 2}),
    ],
)
def test_the_comparison_notices_another_config(name, changes):
    theirs, ours = pair(name)
    other = GPT2(ours.config.model_copy(update=changes)).eval()
    other.load_state_dict(ours.state_dict())
    row = batch(ours.config)[0]

    with torch.no_grad():
        assert distance(logits_of(theirs, row), other(torch.tensor([row])).logits[0]) > TOLERANCE


@pytest.mark.parametrize("name", ["plain", "fast gelu, untied", "upcast"])
def test_hidden_states_and_attention_maps_are_those_of_transformers(name):
    theirs, ours = pair(name, eager=True)
    tokens = torch.tensor([batch(ours.config)[0]])

    with torch.no_grad():
        expected = theirs(tokens, output_hidden_states=True, output_attentions=True)
        got = ours(tokens, hidden_states=True, attentions=True)

    assert len(expected.hidden_states) == len(got.hidden_states)
    for reference, state in zip(expected.hidden_states, got.hidden_states, strict=True):
        torch.testing.assert_close(reference, state, rtol=1e-4, atol=1e-4)
    for reference, weights in zip(expected.attentions, got.attentions, strict=True):
        torch.testing.assert_close(reference, weights, rtol=1e-4, atol=1e-5)
    assert distance(expected.logits, got.logits) < TOLERANCE


def padded(rows):
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
    return tokens, lengths


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["plain", "fast gelu, untied", "upcast", "unscaled"])
def test_loss_and_gradients_are_those_of_transformers(name, checkpointing):
    theirs, ours = pair(name)
    tokens, lengths = padded(batch(ours.config))
    attended = torch.arange(tokens.shape[1]) < lengths[:, None]
    labels = tokens.masked_fill(~attended, -100)
    labels[0, 3:9] = -100
    if checkpointing:
        # Only training recomputes, so dropout has to be taken out instead of switched off.
        for module in ours.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for block in ours.h:
            block.attn.attn_pdrop = 0.0
        ours.train()
        ours.gradient_checkpointing = True

    expected = theirs(tokens, attention_mask=attended.long(), labels=labels).loss
    got = ours(tokens, labels, lengths=lengths).loss
    expected.backward()
    got.backward()

    torch.testing.assert_close(expected, got, rtol=1e-5, atol=1e-5)
    gradients = dict(theirs.named_parameters())
    for parameter_name, parameter in ours.named_parameters():
        of_head = parameter_name.startswith("lm_head")
        reference = gradients[parameter_name if of_head else f"transformer.{parameter_name}"].grad
        if parameter_name.endswith(GPT2.stored_transposed):
            reference = reference.T
        scale = float(reference.abs().max())
        torch.testing.assert_close(reference, parameter.grad, rtol=0.0, atol=1e-5 * max(scale, 1.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_logits_are_as_near_as_those_of_transformers(dtype):
    theirs, ours = pair("all switches, packed sizes")
    rows = batch(ours.config)
    expected = [logits_of(theirs, row) for row in rows]
    theirs, ours = theirs.to(dtype), ours.to(dtype)

    ours.prepare()
    got = scored_in_chunks(ours, rows, seed=2)

    errors = [distance(*both) for both in zip(expected, got, strict=True)]
    baseline = [
        distance(reference, logits_of(theirs, row).float())
        for reference, row in zip(expected, rows, strict=True)
    ]
    assert sum(errors) < 1.2 * sum(baseline)
