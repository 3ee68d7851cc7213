"""The loss of a batch by a network of another library, which computes whole sequences by itself."""

from contextlib import AbstractContextManager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import NetworkLM
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.module_layout import AdaptableLM
from gpt2sdk_train.objective import Objective


class NetworkObjective(nn.Module):
    """A model of another library with its loss, as one module: what accelerate wraps.

    All is computed as its network has it, head and attention too.

    Attributes:
        model: The model.
    """

    def __init__(self, model: NetworkLM, *, bf16: bool = False) -> None:
        """Wrap a model.

        Args:
            model: The model.
            bf16: Compute products in bfloat16.
        """
        super().__init__()
        self.model = model
        self._bf16 = bf16

    def attending(self) -> AbstractContextManager[None]:
        """Let the network attend by itself until gradients are there, and no longer.

        Activations may be computed a second time for them. Between steps observers may generate.
        """
        return self.model.as_in_transformers()

    @override
    def forward(self, tokens: Int[Tensor, "blocks tokens"]) -> Float[Tensor, ""]:
        """Return the mean loss of predicting each token after the first, in nats."""
        return self._each(tokens).mean()

    @torch.no_grad()
    def losses(self, tokens: Int[Tensor, "blocks tokens"]) -> Float[Tensor, "blocks predicted"]:
        """Return the loss of predicting each token after the first, in nats."""
        return self._each(tokens)

    def _each(self, tokens: Tensor) -> Float[Tensor, "blocks predicted"]:
        labels = tokens[:, 1:]
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self._bf16):
            logits = self.model.logits(tokens[:, :-1])
        losses = functional.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), reduction="none"
        )
        return losses.view(labels.shape)


def make_objective(model: AdaptableLM, *, bf16: bool = False) -> Objective | NetworkObjective:
    """Return a model with its loss."""
    if isinstance(model, GPT2):
        return Objective(model, bf16=bf16)
    return NetworkObjective(model, bf16=bf16)
