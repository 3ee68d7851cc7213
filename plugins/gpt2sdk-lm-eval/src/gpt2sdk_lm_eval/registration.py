"""The name by which the harness knows gpt2sdk models."""

import lm_eval.models  # noqa: F401 - it registers the harness's own models, but only into an empty table
from lm_eval.api.registry import model_registry

NAME = "gpt2sdk"
HOME = "gpt2sdk_lm_eval.model:GPT2SDKLM"


def add_model() -> None:
    """Register the model, which is imported when it is asked for."""
    if NAME not in model_registry:
        model_registry.register(NAME, target=HOME)
