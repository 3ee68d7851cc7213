"""Fakes and conformance checks for authors of components."""

from gpt2sdk.testing.conformance import (
    check_criterion,
    check_detector,
    check_drafter,
    check_processor,
    check_sampler,
    check_strategy,
    check_text_criterion,
    parametrize_with_checks,
)
from gpt2sdk.testing.fake_accelerator import fake_accelerator, reads_of
from gpt2sdk.testing.letters import Letters
from gpt2sdk.testing.quantizers import QuantizerReport, check_quantizer
from gpt2sdk.testing.table_model import TableCache, TableModel
from gpt2sdk.testing.tiny import save_tiny_model, tiny_gpt2, tiny_tokenizer
from gpt2sdk.testing.trial import choose, ends, process, reweigh
from gpt2sdk.testing.written_rows import make_rows

__all__ = [
    "Letters",
    "QuantizerReport",
    "TableCache",
    "TableModel",
    "check_criterion",
    "check_detector",
    "check_drafter",
    "check_processor",
    "check_quantizer",
    "check_sampler",
    "check_strategy",
    "check_text_criterion",
    "choose",
    "ends",
    "fake_accelerator",
    "make_rows",
    "parametrize_with_checks",
    "process",
    "reads_of",
    "reweigh",
    "save_tiny_model",
    "tiny_gpt2",
    "tiny_tokenizer",
]
