"""What a forward pass over whole sequences returns, and the loss."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

IGNORED_LABEL = -100
"""What a position is labelled with that is left out of the loss."""


@dataclass(frozen=True, slots=True)
class GPT2Output:
    """What a forward pass found out.

    Attributes:
        logits: Next-token logits at every position, in float32 (float64 for a float64 model).
        loss: The mean cross-entropy in nats, where there were labels.
        hidden_states: The residual stream before each block and, last, the final norm of it, if
            they were asked for.
        attentions: The attention weights of each block, if they were asked for.
    """

    logits: Float[Tensor, "batch time vocab"]
    loss: Float[Tensor, ""] | None = None
    hidden_states: tuple[Float[Tensor, "batch time embed"], ...] | None = None
    attentions: tuple[Float[Tensor, "batch heads time time"], ...] | None = None


def next_token_loss(
    logits: Float[Tensor, "batch time vocab"], labels: Int[Tensor, "batch time"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of each label under the logits one position before it.

    The mean is over the labels that are not `IGNORED_LABEL`; of none, it is NaN.
    """
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED_LABEL
    )
