"""Options of calls: from what was written to what is to run.

What was written (`given`) goes to its owners (`owners`, and `named` for the strategy, sampler and
drafter); components are built of it (`building`) and brought into their order (`order`); the
`composition` holds the outcome, with what is `in_force`. A `preset` is what was written elsewhere,
as data; the `recording` makes one of a call. The `explanation` tells a composition to people, as
the `catalogue` does all there is. The command line and the generator import from here alone.
"""

from gpt2sdk.options.call_words import CALLS_ELSEWHERE, OF_LOADING, of_loading
from gpt2sdk.options.catalogue import OptionRecord, json_schema, option_records
from gpt2sdk.options.composition import Composition, compose
from gpt2sdk.options.explanation import ExplainedComponent, Explanation, explain
from gpt2sdk.options.field import parse
from gpt2sdk.options.given import Unread, each, spelled
from gpt2sdk.options.in_force import json_ready
from gpt2sdk.options.named import named_detector
from gpt2sdk.options.owners import (
    CHAIN_ROLES,
    NAMED_ROLES,
    called_here,
    check_names,
    is_option,
)
from gpt2sdk.options.preset import Preset, is_schema, read_preset
from gpt2sdk.options.recording import record
from gpt2sdk.options.roles import role_asked_for
from gpt2sdk.options.settings import Settings

__all__ = [
    "CALLS_ELSEWHERE",
    "CHAIN_ROLES",
    "NAMED_ROLES",
    "OF_LOADING",
    "Composition",
    "ExplainedComponent",
    "Explanation",
    "OptionRecord",
    "Preset",
    "Settings",
    "Unread",
    "called_here",
    "check_names",
    "compose",
    "each",
    "explain",
    "is_option",
    "is_schema",
    "json_ready",
    "json_schema",
    "named_detector",
    "of_loading",
    "option_records",
    "parse",
    "read_preset",
    "record",
    "role_asked_for",
    "spelled",
]
