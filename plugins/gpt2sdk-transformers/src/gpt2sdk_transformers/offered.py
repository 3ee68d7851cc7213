"""Which models of transformers are offered, and why the others are not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gpt2sdk import ConfigFiles

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

OWN: Final = ("gpt2", "gpt-sw3", "gpt_sw3")
"""What gpt2sdk has a network of its own for."""

_CODE = "auto_map"
# Layers that read a state which each token changes: nothing brings an earlier one back.
_RECURRENT = (
    "layers with a recurrent state, which cannot be rewound token by token: recurrent and hybrid "
    "models are not offered yet"
)
_OTHER = (
    "attention of its own, which does not ask transformers' attention functions for keys and "
    "values: rows of different lengths cannot be fed to it"
)
_SEES_MORE = (
    "attention that sees other places than those before a token, or a window of them"
)
_NO_DECODER = "both an encoder and a decoder: only decoder-only models are offered"
_SEVERAL = "inputs besides text, or several streams of tokens: only models of text are offered"
_ENCODER = "no decoder: its network is an encoder's, which sees what is behind a token"

_REASONS: Final[Mapping[str, str]] = {}


def is_theirs(files: ConfigFiles) -> bool:
    """Whether a config is of a model type that transformers knows, and gpt2sdk does not."""
    kind = files.values.get("model_type")
    if not isinstance(kind, str) or kind in OWN:
        return False
    try:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    except ImportError:
        return False
    return kind in CONFIG_MAPPING_NAMES


def why_not(values: Mapping[str, object]) -> str:
    """Say why a model type that transformers knows is not offered; empty where it is.

    Args:
        values: The keys and values of its `config.json`.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = str(values["model_type"])
    if values.get("is_encoder_decoder"):
        return _NO_DECODER
    if kind in _REASONS:
        return _REASONS[kind]
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "no causal language model in transformers"
    return ""


def why_not_network(config: "PretrainedConfig", kind: "type[PreTrainedModel]") -> str:
    """Say why a network is not offered, by its class; empty where it is."""
    if config.is_encoder_decoder:
        return _NO_DECODER
    if getattr(kind, "_is_stateful", False):
        return _RECURRENT
    if "vision_config" in config or "audio_config" in config:
        return _SEVERAL
    if getattr(config, "attention_chunk_size", None):
        return _SEES_MORE
    if not kind._can_set_attn_implementation():  # noqa: SLF001 - transformers tells no other way
        return _OTHER
    return ""
