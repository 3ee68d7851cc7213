"""The plugin contract: what a plugin may implement, and the marker it does so with.

A plugin's entry module (entry-point group `gpt2sdk`) holds functions of these names, marked with
`hookimpl`. It imports nothing heavy; the functions import what they return when they are called.
"""

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from gpt2sdk.components.causal_lm import CausalLM
    from gpt2sdk.components.component import Component
    from gpt2sdk.components.records import Result
    from gpt2sdk.components.session import Session

hookspec = pluggy.HookspecMarker("gpt2sdk")
hookimpl = pluggy.HookimplMarker("gpt2sdk")


class StrategyLike(Protocol):
    """A function made with `@strategy`."""

    @property
    def component(self) -> "type[Component]":
        """The component its keyword parameters make."""


@hookspec
def gpt2sdk_components() -> "tuple[type[Component] | StrategyLike, ...]":
    """Return the component classes and strategy functions the plugin offers.

    Called once, when components are first looked for. The base class says the role.
    """
    return ()


@hookspec
def gpt2sdk_load_adapter(model: "CausalLM", folder: "Path") -> bool:
    """Put an adapter into a model that has just been loaded, and return whether that was done.

    Plugins are asked one after another until one returns true; false leaves the model as it was.

    Raises:
        GPT2SDKError: The adapter is of a kind that the plugin knows, and cannot be used.
    """
    raise NotImplementedError


@hookspec
def gpt2sdk_model_loaded(model: "CausalLM") -> None:
    """Observe a model that has just been loaded, before its first use."""


@hookspec
def gpt2sdk_generation_started(session: "Session") -> None:
    """Observe a session before its strategy runs.

    On an engine of many calls a session may serve several of them: it is told of once.
    """


@hookspec
def gpt2sdk_generation_finished(result: "Result") -> None:
    """Observe what a call made, partial results of failed and cancelled calls included."""


@hookspec
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add commands to the command line."""
