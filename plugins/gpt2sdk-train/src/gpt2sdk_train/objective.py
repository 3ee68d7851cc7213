"""The loss of a batch: GPT-2's forward pass with the kernels that train fastest."""

from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.adapted import head_matrix
from gpt2sdk_train.attention import TrainingAttention
from gpt2sdk_train.cross_entropy import linear_cross_entropy, token_losses


class Objective(nn.Module):
    """A model with its loss, as one module: what accelerate wraps.

    The model's own modules are called, so hooks, patches and adapters act; only attention between
    `c_attn` and `c_proj`, and the loss over the vocabulary, are computed in another way than by
    `GPT2.forward`. The head is read as a matrix: hooks on it are not called.

    Attributes:
        model: The model.
    """

    def __init__(self, model: GPT2, *, bf16: bool = False) -> None:
        """Wrap a model.

        Args:
            model: The model.
            bf16: Compute products in bfloat16.
        """
        super().__init__()
        self.model = model
        self._bf16 = bf16

    @staticmethod
    def attending() -> AbstractContextManager[None]:
        """Enter what gradients need: nothing."""
        return nullcontext()

    @override
    def forward(self, tokens: Int[Tensor, "blocks tokens"]) -> Float[Tensor, ""]:
        """Return the mean loss of predicting each token after the first, in nats."""
        with self._autocast():
            hidden = self._hidden(tokens[:, :-1])
        return linear_cross_entropy(hidden, head_matrix(self.model), tokens[:, 1:].flatten())

    @torch.no_grad()
    def losses(self, tokens: Int[Tensor, "blocks tokens"]) -> Float[Tensor, "blocks predicted"]:
        """Return the loss of predicting each token after the first, in nats."""
        with self._autocast():
            hidden = self._hidden(tokens[:, :-1])
        labels = tokens[:, 1:]
        return token_losses(hidden, head_matrix(self.model), labels.flatten()).view(labels.shape)

    def _hidden(self, tokens: Tensor) -> Float[Tensor, "positions embed"]:
        model = self.model
        attend = TrainingAttention()
        x = model.drop(model.wte(tokens) + model.wpe(torch.arange(tokens.shape[1]).to(tokens)))
        for block in model.h:
            if model.gradient_checkpointing and self.training:
                x = cast("Tensor", checkpoint(block, x, attend, use_reentrant=False))
            else:
                x = block(x, attend)
        x = model.ln_f(x).flatten(0, 1)
        return x.to(torch.bfloat16) if self._bf16 else x  # type: ignore[no-any-return]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self._bf16)
