"""Text generation with GPT-2-family models, where everything that picks a token is a plugin."""

from importlib import import_module
from typing import TYPE_CHECKING

from gpt2sdk.homes import HOME_OF

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gpt2sdk.cli.call_flags import CallFlags, with_call_flags
    from gpt2sdk.components.answers import Decision, NextToken
    from gpt2sdk.components.architecture import Architecture
    from gpt2sdk.components.call_record import CallRecord, ComponentRecord
    from gpt2sdk.components.causal_lm import (
        CausalLM,
        KeyValueCache,
        LayeredLM,
        NetworkLM,
        PortableCache,
        RecallableLM,
        Scores,
    )
    from gpt2sdk.components.checkpoint import Checkpoint, Layout, StoredParameter
    from gpt2sdk.components.component import Component
    from gpt2sdk.components.continuation_text import continuation_text, continuation_tokens
    from gpt2sdk.components.detector import Detection, Detector
    from gpt2sdk.components.drafter import Drafter, DrafterRun
    from gpt2sdk.components.language import Language
    from gpt2sdk.components.one_or_more import OneOrMore
    from gpt2sdk.components.placement import (
        Part,
        Place,
        PlacedModel,
        Placement,
        PlacementPlan,
        Residency,
        residency_of,
    )
    from gpt2sdk.components.preset_rules import (
        CALLER_ONLY_RULE,
        COUNT_RULE,
        GRAMMAR_RULE,
        MATCH_RULE,
        PATTERN_RULE,
        PRESET_LIMITS,
        PresetRule,
    )
    from gpt2sdk.components.processor import LogitsProcessor, ProcessorRun, Stage
    from gpt2sdk.components.quantized import Quantized, QuantizedLinear, QuantizedTable
    from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer, Target
    from gpt2sdk.components.records import Completion, Delta, Prompt, Result, Score, Usage
    from gpt2sdk.components.rows import Rows
    from gpt2sdk.components.runner import PackedMatrix, PackedTable, Runner, Running
    from gpt2sdk.components.sampler import Sampler, SamplerRun
    from gpt2sdk.components.session import (
        HiddenHistory,
        Mirror,
        PerRow,
        PerRowTensor,
        Rehearsal,
        Session,
        Step,
        Vocabulary,
    )
    from gpt2sdk.components.shared_option import Shared
    from gpt2sdk.components.stopping import (
        CriterionRun,
        StoppingCriterion,
        TextCriterion,
        TextCriterionRun,
        TextEnd,
        Written,
    )
    from gpt2sdk.components.stored_matrix import check_finite, check_stored
    from gpt2sdk.components.strategy import Strategy, strategy
    from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
    from gpt2sdk.components.text_or_ids import TextOrIds, TokenId, check_ids, tokens_of
    from gpt2sdk.components.weights import (
        CheckpointFormat,
        FormatWords,
        ModelSource,
        OpenedFile,
        TranslatedFile,
    )
    from gpt2sdk.config import GPT2Config
    from gpt2sdk.config_files import ConfigFiles
    from gpt2sdk.defaults import greedy, sample
    from gpt2sdk.errors import (
        CheckpointError,
        ContextOverflowError,
        GenerationError,
        GPT2SDKError,
        OptionError,
        PackedError,
        PlacementError,
        PluginConflictError,
        PluginContractError,
        PluginError,
        PluginLoadError,
        TokenizerError,
    )
    from gpt2sdk.files.tensors import open_tensors
    from gpt2sdk.generator.async_stream import AsyncStream
    from gpt2sdk.generator.generator import Generator
    from gpt2sdk.hookspecs import hookimpl
    from gpt2sdk.loading import parse_size
    from gpt2sdk.loading.device_memory import free_memory
    from gpt2sdk.mention import argument
    from gpt2sdk.normalizer import log_normalizer
    from gpt2sdk.options.catalogue import OptionRecord, option_records, schema_of
    from gpt2sdk.options.explanation import Explanation
    from gpt2sdk.options.given import each
    from gpt2sdk.session.engine import Engine
    from gpt2sdk.session.prefix_cache import CacheInfo
    from gpt2sdk.shapes import Counts, History, Logits, Mask, Tokens, Uniforms
    from gpt2sdk.summation import row_sums
    from gpt2sdk.tokenizer.document_encoder import DocumentEncoder
    from gpt2sdk.tokenizer.documents import SEPARATOR, split_documents
    from gpt2sdk.tokenizer.end_tokens import EndTokens, find_end_tokens
    from gpt2sdk.tokenizer.tokenizer import Tokenizer

__all__ = [
    "CALLER_ONLY_RULE",
    "COUNT_RULE",
    "GRAMMAR_RULE",
    "MATCH_RULE",
    "PATTERN_RULE",
    "PRESET_LIMITS",
    "SEPARATOR",
    "Architecture",
    "AsyncStream",
    "CacheInfo",
    "CallFlags",
    "CallRecord",
    "CausalLM",
    "Checkpoint",
    "CheckpointError",
    "CheckpointFormat",
    "Completion",
    "Component",
    "ComponentRecord",
    "ConfigFiles",
    "ContextOverflowError",
    "Counts",
    "CriterionRun",
    "Decision",
    "Delta",
    "Detection",
    "Detector",
    "DocumentEncoder",
    "Drafter",
    "DrafterRun",
    "EndTokens",
    "Engine",
    "Explanation",
    "FormatWords",
    "GPT2Config",
    "GPT2SDKError",
    "GenerationError",
    "Generator",
    "HiddenHistory",
    "History",
    "KeyValueCache",
    "Language",
    "LayeredLM",
    "Layout",
    "Logits",
    "LogitsProcessor",
    "Mask",
    "Matrix",
    "Mirror",
    "ModelSource",
    "NetworkLM",
    "NextToken",
    "OneOrMore",
    "OpenedFile",
    "OptionError",
    "OptionRecord",
    "PackedError",
    "PackedMatrix",
    "PackedTable",
    "Part",
    "PerRow",
    "PerRowTensor",
    "Place",
    "PlacedModel",
    "Placement",
    "PlacementError",
    "PlacementPlan",
    "PluginConflictError",
    "PluginContractError",
    "PluginError",
    "PluginLoadError",
    "PortableCache",
    "PresetRule",
    "ProcessorRun",
    "Prompt",
    "Quantized",
    "QuantizedLinear",
    "QuantizedMatrix",
    "QuantizedTable",
    "Quantizer",
    "RecallableLM",
    "Rehearsal",
    "Residency",
    "Result",
    "Rows",
    "Runner",
    "Running",
    "Sampler",
    "SamplerRun",
    "Score",
    "Scores",
    "Session",
    "Shared",
    "Stage",
    "Step",
    "StoppingCriterion",
    "StoredParameter",
    "Strategy",
    "Target",
    "TensorInfo",
    "TensorSource",
    "TextCriterion",
    "TextCriterionRun",
    "TextEnd",
    "TextOrIds",
    "TokenId",
    "Tokenizer",
    "TokenizerError",
    "Tokens",
    "TranslatedFile",
    "Uniforms",
    "Usage",
    "Vocabulary",
    "Written",
    "__version__",
    "argument",
    "check_finite",
    "check_ids",
    "check_stored",
    "continuation_text",
    "continuation_tokens",
    "each",
    "find_end_tokens",
    "free_memory",
    "greedy",
    "hookimpl",
    "log_normalizer",
    "open_tensors",
    "option_records",
    "parse_size",
    "residency_of",
    "row_sums",
    "sample",
    "schema_of",
    "split_documents",
    "strategy",
    "tokens_of",
    "with_call_flags",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import gpt2sdk` stays light."""
    if name not in HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
