"""What a plugin does wrong while a model is loaded, said with its name."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.component import Component
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.weights import CheckpointFormat
from gpt2sdk.errors import GPT2SDKError, PluginContractError

_ROLES = {
    Architecture: "architecture",
    CheckpointFormat: "format",
    Placement: "placement",
    Quantizer: "quantizer",
}


def failure(
    plugin: Component | type[Component], what: str, error: Exception
) -> PluginContractError:
    """Return the exception for a plugin that did something wrong, or raised what isn't ours.

    Args:
        plugin: The architecture, quantizer, placement or file format, or its class.
        what: What happened: `failed on h.0.mlp.c_fc.weight`.
        error: Why.
    """
    kind = plugin if isinstance(plugin, type) else type(plugin)
    role = next((word for base, word in _ROLES.items() if issubclass(kind, base)), "plugin")
    return PluginContractError(f"the {role} {kind.name} {what}: {error}", plugin=kind.name)


@contextmanager
def naming(plugin: Component | type[Component], what: str) -> Iterator[None]:
    """Let a plugin do something; what it raises of its own becomes a `failure` of its name.

    Raises:
        PluginContractError: If it raises anything but an error of gpt2sdk, which passes.
    """
    try:
        yield
    except GPT2SDKError:
        raise
    except Exception as error:
        raise failure(plugin, what, error) from error
