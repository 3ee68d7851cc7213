"""From a name to a model on its devices: probe, plan, stream, finish."""

from gpt2sdk.loading.claims import architecture_of, known_architecture
from gpt2sdk.loading.conversion import quantize_checkpoint
from gpt2sdk.loading.device_memory import parse_size, size_text
from gpt2sdk.loading.load_settings import LoadSettings, MaxMemory, Quantization, QuantizationConfig
from gpt2sdk.loading.loaded import Loaded, load, plan_load
from gpt2sdk.loading.location import Hub, Provenance, locate
from gpt2sdk.loading.opening import OpenedModel, check_tokenizer, open_model
from gpt2sdk.loading.plan import DevicePlan, LoadPlan, MatrixPlan, PartPlan
from gpt2sdk.loading.precision import parse_device, parse_dtype
from gpt2sdk.loading.preparation import prepare

__all__ = [
    "DevicePlan",
    "Hub",
    "LoadPlan",
    "LoadSettings",
    "Loaded",
    "MatrixPlan",
    "MaxMemory",
    "OpenedModel",
    "PartPlan",
    "Provenance",
    "Quantization",
    "QuantizationConfig",
    "architecture_of",
    "check_tokenizer",
    "known_architecture",
    "load",
    "locate",
    "open_model",
    "parse_device",
    "parse_dtype",
    "parse_size",
    "plan_load",
    "prepare",
    "quantize_checkpoint",
    "size_text",
]
