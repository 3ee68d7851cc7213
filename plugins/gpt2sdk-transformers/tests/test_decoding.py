"""Decoding methods with a model of transformers choose what recomputing everything would choose."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from gpt2sdk import Generator, KeyValueCache, Scores
from gpt2sdk.testing import TableCache

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]

PROMPTS = ["Once upon a time", "the", "and the pond"]
KINDS = pytest.mark.parametrize("kind", ["llama", "qwen3", "mamba", "jamba", "lfm2", "qwen3_next"])
NORMS = ("norm", "norm_f", "final_layernorm", "embedding_norm")


class Recomputing(nn.Module):
    """Each slot's whole text is fed anew, by itself, whenever a position of it is scored."""

    context_length, device = 128, torch.device("cpu")
    make_cache = TableCache

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        self.vocab_size, self.layers = network.config.vocab_size, network.config.num_hidden_layers

    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed whole texts to transformers, without a cache."""
        logits, states = [], []
        for slot, fed, kept in zip(cache.slots, tokens, keep, strict=True):  # type: ignore[attr-defined]
            slot.extend(fed)
            if kept:
                streams: dict[int, torch.Tensor] = {}
                logits.append(self._whole(slot, streams)[-kept:])
                states.append({layer: each[-kept:] for layer, each in streams.items()})
        return Scores(
            torch.cat(logits) if logits else torch.zeros(0, self.vocab_size),
            {
                layer: torch.cat([each[layer] for each in states]) if states else torch.zeros(0, 32)
                for layer in hidden_states
            },
        )

    def final_norm(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the last norm."""
        with torch.no_grad():
            base = self.network.get_decoder()
            return next(getattr(base, name) for name in NORMS if hasattr(base, name))(hidden)

    def unembed(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the head."""
        with torch.no_grad():
            return self.network.lm_head(hidden)

    def _whole(self, slot: list[int], streams: dict[int, torch.Tensor]) -> torch.Tensor:
        def keep(_module: nn.Module, _args: object, out: torch.Tensor) -> None:
            streams[self.layers] = out[0]

        def keep_input(layer: int, _module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            streams[layer] = args[0][0]

        blocks = self.network.get_decoder().layers
        hooks = [blocks[-1].register_forward_hook(keep)]
        hooks += [
            block.register_forward_pre_hook(partial(keep_input, layer))
            for layer, block in enumerate(blocks)
        ]
        try:
            with torch.no_grad():
                return self.network(input_ids=torch.tensor([slot]), use_cache=False).logits[0]
        finally:
            for hook in hooks:
                hook.remove()


TALE = {
    "type": "object",
    "properties": {"who": {"enum": ["the king", "a witch"]}, "old": {"type": "boolean"}},
    "required": ["who", "old"],
    "additionalProperties": False,
}
SUMS = 'start: NUMBER ("+" NUMBER)* "."\nNUMBER: /[0-9]{1,3}/'
METHODS: dict[str, dict[str, object]] = {
    "guidance with beams": {
        "guidance_scale": 1.5,
        "negative_prompt": "in the",
        "strategy": "beam",
        "num_beams": 3,
    },
    "contrastive search": {"strategy": "contrastive_search", "penalty_alpha": 0.6, "top_k": 4},
    "DoLa": {"strategy": "greedy", "dola_layers": [0, 1]},
    "DoLa behind the norm": {"strategy": "greedy", "dola_layers": [1], "dola_final_norm": True},
    "a regular expression": {"regex": r"[a-z ]{5,12}", "temperature": 0.7},
    "JSON": {"json_schema": TALE, "temperature": 0.8, "max_new_tokens": 60},
    "JSON with beams": {
        "json_schema": TALE,
        "strategy": "beam",
        "num_beams": 3,
        "max_new_tokens": 60,
    },
    "a grammar": {"grammar": SUMS, "temperature": 0.8},
    "a grammar with beams": {"grammar": SUMS, "strategy": "beam", "num_beams": 4},
    "a regular expression under beams": {
        "regex": r"[a-z ]{5,12}",
        "strategy": "beam",
        "num_beams": 3,
    },
    "a watermark": {"kgw_bias": 4.0, "hashing_key": 7},
    "another watermark": {"sampler": "gumbel_watermark", "hashing_key": 7},
    "a particle filter": {
        "strategy": "smc",
        "num_particles": 6,
        "potential": lambda text: -text.count("e") / 1.0,
    },
    "diverse beams": {"strategy": "diverse_beam", "num_beams": 4, "num_beam_groups": 2},
    "backtracking words": {"bad_words": ["the", " a"], "temperature": 0.9},
}


def recomputing(gen: Generator, network: PreTrainedModel) -> Generator:
    return Generator(Recomputing(network), gen.tokenizer, eos_token_ids=gen.eos_token_ids)


@KINDS
@pytest.mark.parametrize("method", METHODS)
def test_a_method_chooses_what_recomputing_chooses(tiny: Tiny, kind: str, method: str) -> None:
    gen, network = tiny(kind)
    options = {"max_new_tokens": 12, "seed": 5, **METHODS[method]}
    found = gen.generate(PROMPTS, **options).completions
    wanted = recomputing(gen, network).generate(PROMPTS, **options).completions
    assert [each.tokens for each in found] == [each.tokens for each in wanted]
    for mine, other in zip(found, wanted, strict=True):
        assert mine.score == (None if other.score is None else pytest.approx(other.score, abs=1e-3))


@KINDS
@pytest.mark.parametrize("drafter", ["prompt_lookup", "suffix"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_drafter_changes_nothing(tiny: Tiny, kind: str, drafter: str, temperature: float) -> None:
    gen, _ = tiny(kind)
    options = {"max_new_tokens": 30, "seed": 2, "temperature": temperature or 1.0}
    if not temperature:
        options["strategy"] = "greedy"
    prompts = [text * 4 for text in PROMPTS]
    plain = gen.generate(prompts, **options)
    drafted = gen.generate(prompts, drafter=drafter, **options)
    assert [each.tokens for each in plain.completions] == [
        each.tokens for each in drafted.completions
    ]


@KINDS
def test_scores_and_choices_are_those_of_whole_texts(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    other = recomputing(gen, network)
    texts = ["Once upon a time the pond", "and", "the king and the witch"]
    for mine, wanted in zip(gen.score(texts), other.score(texts), strict=True):
        assert mine.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
    options = [" the pond", " a witch and a king", " time"]
    mine, wanted = (each.choose("Once upon", options) for each in (gen, other))
    assert mine.scores == pytest.approx(wanted.scores, abs=1e-4)


@KINDS
def test_a_watermark_is_found_in_what_was_marked(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    options = {"max_new_tokens": 80, "seed": 3, "min_new_tokens": 80}
    marked = gen.generate("the", kgw_bias=6.0, hashing_key=7, **options)
    plain = gen.generate("the", **options)
    found, nothing = (
        gen.detect(each.completions[0].tokens, "kgw_watermark", hashing_key=7)
        for each in (marked, plain)
    )
    assert found.p_value < 1e-6 < nothing.p_value


@KINDS
@pytest.mark.parametrize("strategy", [{}, {"strategy": "beam", "num_beams": 3}], ids=["", "beams"])
def test_guided_texts_are_what_was_asked_for(
    tiny: Tiny, kind: str, strategy: dict[str, object]
) -> None:
    gen, _ = tiny(kind)
    options = {"max_new_tokens": 60, "seed": 5, **strategy}
    for written in gen.generate(PROMPTS, json_schema=TALE, **options).completions:
        parsed = written.parsed
        assert isinstance(parsed, dict)
        assert parsed["who"] in {"the king", "a witch"}
        assert isinstance(parsed["old"], bool)
    for completion in gen.generate(PROMPTS, grammar=SUMS, **options).completions:
        whole = completion.finish_reason == "end_token"
        assert re.fullmatch(r"\d{1,3}(\+\d{1,3})*" + (r"\." if whole else ".*"), completion.text)
