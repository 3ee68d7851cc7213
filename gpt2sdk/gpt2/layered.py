"""What hidden states say of the next token: the last norm and the head, by themselves."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2sdk.components.runner import Running
from gpt2sdk.gpt2.route import Parts, Route


class Layered(nn.Module):
    """A network whose last norm and head can be applied to any layer's residual stream.

    `unembed(final_norm(h))` are its logits where `h` is the stream behind the last block, and the
    logit lens (nostalgebraist, 2020) where it is an earlier one. On the packed weights of a
    prepared model, as `score`. No gradients.

    Example:
        >>> from gpt2sdk.testing import tiny_gpt2
        >>> model = tiny_gpt2()
        >>> scores = model.score(model.make_cache(1), [[3, 1, 4]], [1], hidden_states=[2])
        >>> logits = model.unembed(model.final_norm(scores.hidden_states[2]))
        >>> torch.allclose(scores.logits, logits, atol=1e-4)
        True
    """

    _route: Route | None

    @property
    def route(self) -> Route | None:
        """What leads to its parts; `None` where all are on one device."""
        return self._route

    def like(self) -> Tensor:
        """Return a tensor of the device and type in which blocks compute."""
        weight: Tensor = self.get_parameter("ln_f.weight")
        return weight if self._route is None else weight.new_empty(0, device=self._route.first)

    def final_norm(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        """Return residual streams as they are behind the last norm."""
        return self._apply_last(hidden, lambda run: run.final_norm, lambda parts: parts.ln_f)

    def unembed(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return float32 logits: the head alone, without the norm before it."""
        return self._apply_last(hidden, lambda run: run.unembed, lambda parts: parts.head).float()

    @abstractmethod
    def _ready(self) -> Running | None:
        """Return what computes, if modules need not be called."""

    def _apply_last(
        self,
        hidden: Tensor,
        packed: Callable[[Running], Callable[[Tensor], Tensor]],
        plain: Callable[[Parts], Callable[[Tensor], Tensor]],
    ) -> Tensor:
        lines = hidden.reshape(-1, hidden.shape[-1])
        running = self._ready()
        compute = plain(Parts.of(self, self._route)) if running is None else packed(running)
        with torch.no_grad():
            out = compute(lines)
        return out.to(hidden.device).view(*hidden.shape[:-1], out.shape[-1])
