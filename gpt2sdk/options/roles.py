"""Roles, as they are asked for by name."""

from typing import Final

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.component import Component
from gpt2sdk.components.detector import Detector
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.runner import Runner
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.components.weights import CheckpointFormat, ModelSource
from gpt2sdk.options.given import spelled
from gpt2sdk.plugins.contract import role_name

ROLES: Final[tuple[type[Component], ...]] = (
    Architecture,
    CheckpointFormat,
    Detector,
    Drafter,
    LogitsProcessor,
    ModelSource,
    Placement,
    Quantizer,
    Runner,
    Sampler,
    StoppingCriterion,
    Strategy,
    TextCriterion,
)
"""All roles, by name."""


def role_asked_for(name: str) -> str:
    """Return the role that a name says, as `role_name` has it; empty where it says none.

    >>> role_asked_for("detector"), role_asked_for("stopping-criterion"), role_asked_for("top_p")
    ('detector', 'stopping criterion', '')
    """
    words = spelled(name).replace("_", " ").removesuffix("s")
    return words if words in map(role_name, ROLES) else ""
