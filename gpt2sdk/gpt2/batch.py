"""Whole sequences that a model is given, made sure of."""

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.gpt2.output import IGNORED_LABEL


def checked(
    tokens: Int[Tensor, "batch time"],
    labels: Int[Tensor, "batch time"] | None,
    lengths: Int[Tensor, " batch"] | None,
    config: GPT2Config,
) -> tuple[Tensor, Tensor | None]:
    """Check a batch, and blank its padding.

    Raises:
        OptionError: If a token id is out of range; looked for on CPUs only.
        ContextOverflowError: If there are more positions than the context window has.
    """
    time = tokens.shape[1]
    if time > config.n_positions:
        raise ContextOverflowError(
            f"sequences of {time} tokens, but the context window is {config.n_positions}: "
            "cut them into windows",
            prompt_tokens=time,
            limit=config.n_positions,
        )
    if lengths is not None:
        padding = torch.arange(time, device=tokens.device) >= lengths[:, None].to(tokens.device)
        tokens = tokens.masked_fill(padding, 0)
        labels = None if labels is None else labels.masked_fill(padding, IGNORED_LABEL)
    if tokens.device.type == "cpu" and tokens.numel():
        low, high = map(int, torch.aminmax(tokens))
        if low < 0 or high >= config.vocab_size:
            wrong, expected = low if low < 0 else high, f"ids from 0 to {config.vocab_size - 1}"
            raise OptionError(
                f"token {wrong}: expected {expected}", name="token", value=wrong, expected=expected
            )
    return tokens, labels
