"""Modules that a network looks into instead of calling them, so that nothing else may be there."""

import inspect

from torch import nn

# Whose matrix the scans of Mamba's family multiply with by themselves.
_READ = "dt_proj"


def read_past(network: nn.Module) -> frozenset[str]:
    """Return the names of modules whose matrices the network reads past them.

    What stands in their place, or holds them in another form, would do nothing or be wrong: they
    are not packed, quantized or adapted.

    Example:
        >>> read_past(nn.ModuleDict({"x_proj": nn.Linear(4, 3), "dt_proj": nn.Linear(2, 4)}))
        frozenset({'dt_proj'})
    """
    return frozenset(
        name for name, _ in network.named_modules() if name.rpartition(".")[2] == _READ
    )


def asks_its_head(network: nn.Module) -> bool:
    """Whether it asks its head of which type the matrix is, as Mamba does."""
    return "weight" in inspect.unwrap(type(network).forward).__code__.co_names
