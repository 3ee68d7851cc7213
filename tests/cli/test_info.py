"""`gpt2sdk info`: what a model is."""

import json

from gpt2sdk.testing import tiny_gpt2

LAYERS = """
import torch
from torch import nn
from gpt2sdk import Architecture, Scores, hookimpl
from gpt2sdk.testing import Letters, TableCache

class Layered(Architecture):
    model_types = ("layered",)

    def make_model(self, dtype):
        return Model()

    def tokenizer(self, folder):
        return Letters()

class Model(nn.Module):
    vocab_size, context_length, layers, device = 28, 50, 3, torch.device("cpu")
    make_cache = TableCache

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(28, 4)
        self.body = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(4, 4) for _ in range(3))})
        self.out = nn.Linear(4, 28)

    def score(self, cache, tokens, keep, hidden_states=()):
        x = self.embed(torch.tensor(tokens[0]))
        for layer in self.body["layers"]:
            x = layer(x)
        return Scores(self.out(x), {})

@hookimpl
def gpt2sdk_components():
    return (Layered,)
"""


def test_the_sizes_of_a_model_are_printed(invoke, model):
    ran = invoke("info", model)

    assert (0, "") == (ran.exit_code, ran.stderr)
    assert ran.stdout.splitlines()[0] == f"{model}  folder"
    rows = dict(line.strip().split("  ", 1) for line in ran.stdout.splitlines()[1:])
    assert "42,560" == rows["parameters"].strip()
    assert "278 tokens" == rows["vocabulary"].strip()
    assert "byte-level BPE, 278 tokens" == rows["tokenizer"].strip()
    assert "<|endoftext|> 277" == rows["special tokens"].strip()
    cache = "512.0 kB in float32, 256.0 kB in bfloat16 or float16 per 1,000 tokens"
    assert cache == rows["cache"].strip()


def test_json_agrees_with_the_model_in_memory(invoke, model):
    card = json.loads(invoke("info", model, "--json").stdout)
    parameters = list(tiny_gpt2().parameters())

    assert sum(each.numel() for each in parameters) == card["parameters"]
    assert sum(each.nbytes for each in parameters) == card["weight_bytes"]["float32"]
    assert card["config"]["n_layer"] == 2
    assert card["end_tokens"] == [277]


def test_a_folder_that_is_no_model_is_an_error(invoke, tmp_path):
    ran = invoke("info", str(tmp_path))

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert ran.stderr.startswith(f"error: {tmp_path}")


def test_shapes_are_followed_through_the_model(invoke, model):
    lines = [line.split("  ") for line in invoke("info", model, "--shapes").stdout.splitlines()]
    rows = [[cell.strip() for cell in line if cell] for line in lines]

    projection = ["h.0.attn.c_attn", "Linear", "1 × 8 × 32", "1 × 8 × 96", "3,168"]
    assert projection in rows
    assert ["h.1", "like h.0", "12,704"] in rows
    card = json.loads(invoke("info", model, "--shapes", "--json").stdout)
    assert sum(row["parameters"] for row in card["shapes"]) == card["parameters"]


def test_shapes_of_another_architecture_are_followed_too(invoke, tmp_path):
    import torch
    from safetensors.torch import save_file

    (tmp_path / "layered.py").write_text(LAYERS)
    (tmp_path / "config.json").write_text('{"model_type": "layered"}')
    layers = {f"body.layers.{number}": (4, 4) for number in range(3)}
    shapes = {"embed": (28, 4), **layers, "out": (28, 4)}
    tensors = {f"{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}
    biases = {f"{name}.bias": torch.zeros(shapes[name][0]) for name in (*layers, "out")}
    save_file(tensors | biases, tmp_path / "model.safetensors")
    ran = invoke("info", str(tmp_path), "--shapes", "--plugin", str(tmp_path / "layered.py"))
    rows = [[cell.strip() for cell in line.split("  ") if cell] for line in ran.stdout.splitlines()]

    assert (0, "") == (ran.exit_code, ran.stderr)
    assert ["body.layers.0", "Linear", "8 × 4", "8 × 4", "20"] in rows
    assert ["body.layers.1 to body.layers.2", "like body.layers.0", "20"] in rows
    assert ["out", "Linear", "8 × 4", "8 × 28", "140"] == rows[-1]
