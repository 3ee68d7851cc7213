"""Adapters, which plugins put into a loaded model."""

from pathlib import Path

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.errors import OptionError
from gpt2sdk.plugins.host import PluginHost


def put_in(model: CausalLM, adapter: Path, host: PluginHost) -> None:
    """Put an adapter into a model.

    Args:
        model: The model.
        adapter: The adapter's folder.
        host: Whose plugins are asked.

    Raises:
        CheckpointError: It is damaged, or another model's.
        OptionError: No plugin takes it.
    """
    if not host.ask("gpt2sdk_load_adapter", {"model": model, "folder": adapter}):
        message = (
            f"adapter {adapter}: no installed plugin takes it; gpt2sdk-train takes LoRA in "
            "PEFT's format, of GPT-2 and of models of transformers (pip install gpt2sdk-train)"
        )
        raise OptionError(message, name="adapter", value=str(adapter))
