"""CTranslate2, with a model that is written in its format from the same weights."""

import tempfile
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import Activation
from ctranslate2.specs.transformer_spec import TransformerDecoderModelSpec
from plain_safetensors import Weights, config_of


class Engine:
    """A model of a folder, converted."""

    can = ("greedy", "sample", "beam")

    def __init__(self, folder: str, weights: str, threads: int, device: str, runner: str) -> None:
        config = config_of(folder)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as converted:
            convert(Weights(folder), config, weights, converted)
            self.model = ctranslate2.Generator(
                converted, device, compute_type=weights, intra_threads=threads, inter_threads=1
            )
        self.bits = {"float32": 32.0, "int8": 8.0}[weights]
        ctranslate2.set_random_seed(0)

    def about(self) -> dict[str, object]:
        """Bits of a weight, and bytes of keys and values for each number of them."""
        version = ctranslate2.__version__
        return {"can": self.can, "weight_bits": self.bits, "cached_bytes": 4, "version": version}

    def run(self, job: dict) -> dict[str, object]:
        """Generate; its tokens are texts."""
        prompts = [[f"t{token}" for token in prompt] for prompt in job["prompts"]]
        new, options = job["new"][0], job["options"]
        how = {"greedy": {}, "beam": {"beam_size": options.get("num_beams")}}
        how["sample"] = {
            "sampling_topk": 0,
            "sampling_topp": options.get("top_p"),
            "sampling_temperature": options.get("temperature"),
        }
        started = time.perf_counter()
        made = self.model.generate_batch(
            prompts,
            max_length=new,
            min_length=new,
            include_prompt_in_result=False,
            **how[job["do"]],
        )
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": [each.sequences_ids[0] for each in made]}


def convert(weights: Weights, config: dict[str, int], kind: str, folder: str) -> None:
    """Write a model in CTranslate2's format, as its own converter of GPT-2 does."""
    spec = TransformerDecoderModelSpec.from_config(
        config["n_layer"], config["n_head"], pre_norm=True, activation=Activation.GELUTanh
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = np.array(weights["wte.weight"])
    decoder.position_encodings.encodings = np.array(weights["wpe.weight"])
    decoder.projection.weight = decoder.embeddings.weight
    _norm(decoder.layer_norm, weights, "ln_f")
    for index, layer in enumerate(decoder.layer):
        block = f"h.{index}"
        _norm(layer.self_attention.layer_norm, weights, f"{block}.ln_1")
        _linear(layer.self_attention.linear[0], weights, f"{block}.attn.c_attn")
        _linear(layer.self_attention.linear[1], weights, f"{block}.attn.c_proj")
        _norm(layer.ffn.layer_norm, weights, f"{block}.ln_2")
        _linear(layer.ffn.linear_0, weights, f"{block}.mlp.c_fc")
        _linear(layer.ffn.linear_1, weights, f"{block}.mlp.c_proj")
    spec.register_vocabulary([f"t{token}" for token in range(config["vocab_size"])])
    end = f"t{config['vocab_size'] - 1}"
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = end
    spec.validate()
    spec.optimize(quantization=kind)
    spec.save(folder)


def _norm(spec: object, weights: Weights, name: str) -> None:
    spec.gamma = np.array(weights[f"{name}.weight"])
    spec.beta = np.array(weights[f"{name}.bias"])


def _linear(spec: object, weights: Weights, name: str) -> None:
    spec.weight = np.ascontiguousarray(weights[f"{name}.weight"].T)
    spec.bias = np.array(weights[f"{name}.bias"])
