"""Escorts the calls of a model's parts through a residency that the model knows nothing of."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import NoReturn, TypeVar, cast

import torch
from torch import Tensor, nn

from gpt2sdk.components.architecture import Architecture, as_causal_lm
from gpt2sdk.components.placement import LED, Residency, next_to_bring
from gpt2sdk.errors import PlacementError

R = TypeVar("R")


def escort(
    model: nn.Module, names: Sequence[str], residency: Residency, home: torch.device
) -> None:
    """Let each part be brought when its module is called, and taken away behind it.

    What a part is given comes to where it computes, and what it returns to the model's own device,
    so that the code between parts meets nothing of this. From then on model and parts are neither
    moved nor copied: the residency would know nothing of it, and what escorts the copy's calls
    would compute with the weights of the original.

    Args:
        model: The network, with all its parts in their places.
        names: Its parts, in the order in which they compute.
        residency: What took them over.
        home: Where tensors are between parts.
    """
    for place, name in enumerate(names):
        module = model.get_submodule(name)
        ahead = next_to_bring(names, place, residency.permanent)
        # The instance's own: other models of the class are called as ever.
        module.__dict__["forward"] = _through(module.forward, name, ahead, residency, home)
        _fasten(module)
    _fasten(model)
    setattr(model, LED, residency)


def check_escorted(model: nn.Module, architecture: Architecture) -> None:
    """Make sure that a model runs whose parts are escorted: let it score a token.

    Raises:
        PlacementError: If it does not.
    """
    scorer = as_causal_lm(model, architecture)
    try:
        with torch.no_grad():
            scorer.score(scorer.make_cache(1), [[0]], [1])
    except (torch.OutOfMemoryError, MemoryError, PlacementError):
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise PlacementError(
            f"the models of {architecture.name} cannot be placed like this: {reason}; expected "
            "parts that are called as modules, with tensors, and weights that are read by no one "
            "else"
        ) from error


def moved(value: object, device: torch.device) -> object:
    """Bring the tensors of a value to a device, those in lists, tuples and mappings, too.

    >>> moved((torch.zeros(1), [torch.zeros(2)], "a"), torch.device("meta"))
    (tensor(..., device='meta', size=(1,)), [tensor(..., device='meta', size=(2,))], 'a')
    """
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [moved(each, device) for each in value]
    if isinstance(value, tuple):
        inside = [moved(each, device) for each in value]
        make = getattr(type(value), "_make", tuple)
        return cast("object", make(inside))
    if isinstance(value, Mapping):
        return {key: moved(each, device) for key, each in value.items()}
    return value


def _fasten(module: nn.Module) -> None:
    """Refuse what moves, converts, copies or pickles a module."""
    module.__dict__["_apply"] = partial(_refuse, "moved or converted")
    for name in ("__deepcopy__", "__reduce_ex__"):
        module.__dict__[name] = partial(_refuse, "copied or pickled")


def _refuse(done: str, *_args: object, **_kwargs: object) -> NoReturn:
    raise PlacementError.of_placed(done)


def _through(
    compute: Callable[..., R],
    name: str,
    ahead: str | None,
    residency: Residency,
    home: torch.device,
) -> Callable[..., R]:
    """Return what computes a part where its weights are."""
    device = residency.device(name)

    @wraps(compute)
    def visit(*args: object, **kwargs: object) -> R:
        residency.acquire(name)
        try:
            if ahead is not None:
                residency.prefetch(ahead)
            given = cast("tuple[object, ...]", moved(args, device))
            named = cast("dict[str, object]", moved(kwargs, device))
            return cast("R", moved(compute(*given, **named), home))
        finally:
            residency.release(name)

    return visit
