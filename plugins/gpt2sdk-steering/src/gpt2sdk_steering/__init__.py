"""Probabilistic inference over texts for gpt2sdk: particles, chains and potentials."""

from importlib import import_module
from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk_steering.allowed_tokens import AllowedTokens
    from gpt2sdk_steering.checks import check_potential
    from gpt2sdk_steering.continuation import Continuation
    from gpt2sdk_steering.conversion import as_potential
    from gpt2sdk_steering.mirror_potential import MirrorPotential
    from gpt2sdk_steering.posteriors import Posterior, posterior
    from gpt2sdk_steering.potential import Potential, PotentialRun
    from gpt2sdk_steering.processor_potential import ProcessorPotential
    from gpt2sdk_steering.text_potential import TextPotential

_HOMES = {
    "gpt2sdk_steering.allowed_tokens": ("AllowedTokens",),
    "gpt2sdk_steering.conversion": ("as_potential",),
    "gpt2sdk_steering.checks": ("check_potential",),
    "gpt2sdk_steering.continuation": ("Continuation",),
    "gpt2sdk_steering.mirror_potential": ("MirrorPotential",),
    "gpt2sdk_steering.posteriors": ("Posterior", "posterior"),
    "gpt2sdk_steering.potential": ("Potential", "PotentialRun"),
    "gpt2sdk_steering.processor_potential": ("ProcessorPotential",),
    "gpt2sdk_steering.text_potential": ("TextPotential",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AllowedTokens",
    "Continuation",
    "MirrorPotential",
    "Posterior",
    "Potential",
    "PotentialRun",
    "ProcessorPotential",
    "TextPotential",
    "as_potential",
    "check_potential",
    "posterior",
]


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_steering.awrs import awrs
    from gpt2sdk_steering.metropolis_hastings import metropolis_hastings
    from gpt2sdk_steering.particle_gibbs import particle_gibbs
    from gpt2sdk_steering.power_sampling import power_sampling
    from gpt2sdk_steering.smc import smc

    return smc, particle_gibbs, awrs, metropolis_hastings, power_sampling


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the entry module stays light.

    There is no `__dir__` beside it: who looks for hooks gets what that lists, and would import
    everything.
    """
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
