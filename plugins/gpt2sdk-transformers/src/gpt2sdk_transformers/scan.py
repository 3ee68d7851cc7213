"""Mamba's selective scan, going on from a state.

h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t x_t and y_t = C_t h_t (Gu and Dao, 2023, arXiv:2312.00752).
transformers' scan begins at h_0 = 0 whatever the cache holds, so that several tokens at once would
forget all before them. What a state adds is linear: y_t grows by C_t exp(A Σ_{i≤t} Δ_i) h_0.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SCAN: Final = "mamba_selective_scan"
"""The scan's name in the modules of transformers."""

CARRIED: ContextVar[Iterator[Tensor] | None] = ContextVar("gpt2sdk_carried_states", default=None)
"""The states that scans go on from, one for each scan."""


def carried_scan(scan: Callable[..., Any]) -> Callable[..., Any]:
    """Return a scan that goes on from the next of `CARRIED`.

    Args:
        scan: transformers' own.
    """

    def carried(  # noqa: PLR0913, PLR0917 - as transformers calls it
        x: Float[Tensor, "rows width new"],
        dt: Float[Tensor, "rows width new"],
        A: Float[Tensor, "width size"],  # noqa: N803 - likewise
        B: Float[Tensor, "rows size new"],  # noqa: N803 - likewise
        C: Float[Tensor, "rows size new"],  # noqa: N803 - likewise
        D: Float[Tensor, " width"] | None = None,  # noqa: N803 - likewise
        z: Float[Tensor, "rows width new"] | None = None,
        delta_bias: Float[Tensor, " width"] | None = None,
        delta_softplus: bool = False,  # noqa: FBT001, FBT002 - likewise
        **others: object,
    ) -> tuple[Tensor, Tensor]:
        states = CARRIED.get()
        held = next(states).float() if states is not None else None
        others["return_last_state"] = True
        words = {"D": D, "delta_bias": delta_bias, "delta_softplus": delta_softplus, **others}
        y, last = scan(x, dt, A, B, C, z=None, **words)
        if held is not None:
            delta = dt.float() if delta_bias is None else dt.float() + delta_bias[:, None].float()
            delta = functional.softplus(delta) if delta_softplus else delta
            left = torch.exp(A[None, :, None] * delta.cumsum(-1)[..., None]) * held[:, :, None]
            y = y + torch.einsum("bdts,bst->bdt", left, C.float()).to(y.dtype)
            last = last + left[:, :, -1].to(last.dtype)
        return (y if z is None else y * functional.silu(z)), last

    return carried
