"""What hidden states say of the next token: the last norm and the head, by themselves."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.gpt2.gated import Gated
from gpt2sdk.gpt2.route import Parts, Route
from gpt2sdk.gpt2.runner import Runner


class Layered(Gated):
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

    def final_norm(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        """Return residual streams as they are behind the last norm."""
        return self._apply_last(hidden, lambda parts: parts.norm, lambda parts: parts.ln_f)

    def unembed(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return float32 logits: the head alone, without the norm before it."""
        return self._apply_last(hidden, lambda parts: parts.head, lambda parts: parts.head).float()

    @abstractmethod
    def _ready(self) -> Runner | None:
        """Return the runner, if modules need not be called."""

    def _apply_last(
        self,
        hidden: Tensor,
        packed: Callable[[Runner], Callable[[Tensor], Tensor]],
        plain: Callable[[Parts], Callable[[Tensor], Tensor]],
    ) -> Tensor:
        lines = hidden.reshape(-1, hidden.shape[-1])
        with self._gate, torch.no_grad():
            runner = self._ready()
            compute = plain(Parts.of(self, self._route)) if runner is None else packed(runner)
            out = compute(lines)
        return out.to(hidden.device).view(*hidden.shape[:-1], out.shape[-1])
