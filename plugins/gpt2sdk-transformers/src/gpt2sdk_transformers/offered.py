"""Which models of transformers are offered, and why the others are not."""

from typing import TYPE_CHECKING, Final

from gpt2sdk import ConfigFiles

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_NAMES = """
afmoe apertus apertus1p5_text arcee aria_text axk1 beam biogpt bitnet codegen cohere
cohere2 cohere2_moe ctrl cwm deepseek_v2 deepseek_v3 dots1 ernie4_5 ernie4_5_moe exaone
exaone4 exaone_moe flex_olmo flint gemma gemma2 gemma3_text gemma4_text
gemma4_unified_text glm glm4 glm4_moe glm4_moe_lite gpt_bigcode gpt_neox gpt_oss gptj
granite granite_swa granitemoe granitemoe_swa granitemoeshared helium hunyuan_v1_dense
hunyuan_v1_moe hy_v3 hyperclovax internlm3 iquestcoder jais2 jetmoe kolibri1 laguna
llama mellum mimo_v2_flash minicpm3 minimax_m2 ministral ministral3 mistral mixtral
nanochat nemotron olmo olmo2 olmo3 olmoe opt persimmon phi phi3 phimoe qwen2 qwen2_moe qwen3
qwen3_moe sarvam_mla sarvam_moe seed_oss smollm3 solar_open stablelm starcoder2
vaultgemma youtu
"""
_RECURRENT_NAMES = """
bailing_hybrid bamba falcon_h1 falcon_mamba granitemoehybrid jamba kimi_linear lara_mini lfm2
lfm2_moe lfm3 mamba mamba2 nemotron_h olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next
recurrent_gemma zamba zamba2 zaya
"""
RECURRENT: Final = frozenset(_RECURRENT_NAMES.split())
"""Those of `OFFERED` that have layers with a state that each token changes."""

OFFERED: Final = frozenset(_NAMES.split()) | RECURRENT
"""The values of `model_type` whose networks were compared with transformers, fed by rows."""

_OWN = ("gpt2", "gpt-sw3", "gpt_sw3")
_ENCODER_NAMES = """
bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta
roberta-prelayernorm roc_bert roformer xlm-roberta xlm-roberta-xl xmod
"""
_ENCODERS = frozenset(_ENCODER_NAMES.split())
# What a layer may be; all tokens' keys and values are kept, of those that attend.
_PLAIN_LAYERS = frozenset({"full_attention", "sliding_attention"})
_STATE_LAYERS = frozenset({"linear_attention", "conv", "hybrid", "hybrid_sliding", "mlp", "moe"})

_BOTH = "an encoder besides its decoder: only decoder-only models are offered"
_ENCODER = "the network of an encoder, whose tokens see those behind them"
_SEVERAL = "inputs besides text: only models of text are offered"
_RECURRENT = (
    "layers with a state that each token changes, and that is not kept in transformers' cache "
    "layers by one module for each layer: it is not known how rows are told apart"
)
_RWKV = (
    "a network that changes its weights as it computes, and that mixes rows which decode together: "
    "it is not offered"
)
_CHUNKED = "layers whose tokens see a part of the text that is no window: it is not offered"
_UNTRIED = (
    "attention or a memory that is not known to go through transformers' attention functions, "
    "which is how rows of different lengths are fed"
)
_NO_LM = "no causal language model in transformers"


def is_theirs(files: ConfigFiles) -> bool:
    """Whether a config is of a `model_type` that transformers knows, and gpt2sdk does not."""
    kind = files.values.get("model_type")
    if not isinstance(kind, str) or kind in _OWN:
        return False
    try:
        from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES
    except ImportError:
        return False
    return kind in CONFIG_MAPPING_NAMES


def why_not(  # noqa: PLR0911 - one for each reason
    config: "PretrainedConfig", kind: "type[PreTrainedModel] | None"
) -> str:
    """Say why a model is not offered; empty where it is.

    Args:
        config: Its config.
        kind: The network that transformers would make of it; `None` if there is none.
    """
    layers = set(getattr(config, "layer_types", None) or ())
    if getattr(config, "is_encoder_decoder", False):
        return _BOTH
    if kind is None:
        return _NO_LM
    if config.model_type in _ENCODERS:
        return _ENCODER
    if any(getattr(config, f"{what}_config", None) for what in ("vision", "audio")):
        return _SEVERAL
    if getattr(config, "attention_chunk_size", None) or "chunked_attention" in layers:
        return _CHUNKED
    if config.model_type == "rwkv":
        return _RWKV
    recurrent = config.model_type in RECURRENT
    if not layers <= (_PLAIN_LAYERS | _STATE_LAYERS if recurrent else _PLAIN_LAYERS):
        return _RECURRENT
    if getattr(kind, "_is_stateful", False) and not recurrent:
        return _RECURRENT
    return "" if config.model_type in OFFERED else _UNTRIED
