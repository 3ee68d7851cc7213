"""Stopping criteria for gpt2sdk."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_stopping.max_time import MaxTime
    from gpt2sdk_stopping.repetition_detection import RepetitionDetection
    from gpt2sdk_stopping.stop import Stop
    from gpt2sdk_stopping.stop_regex import StopRegex
    from gpt2sdk_stopping.stop_token_ids import StopTokenIds

    return Stop, StopRegex, StopTokenIds, RepetitionDetection, MaxTime
