"""The weights that training starts from."""

import torch
from torch import nn

from gpt2sdk.config import GPT2Config


@torch.no_grad()
def initialize(model: nn.Module, config: GPT2Config, seed: int) -> None:
    """Draw a model's weights, the same ones on every device.

    Matrices and tables are normal with `initializer_range`; for those that write to the residual
    stream, which 2·n_layer of them add to, it is divided by √(2·n_layer) (Radford et al., 2019,
    section 2.3). Biases are 0, norms the identity.

    Args:
        model: With GPT-2's parameters.
        config: Its sizes.
        seed: Any integer.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 1:
            parameter.fill_(1.0)
        else:
            writers = 2 * config.n_layer if name.endswith("c_proj.weight") else 1
            drawn = torch.empty(parameter.shape, dtype=torch.float32, device="cpu")
            parameter.copy_(
                drawn.normal_(0.0, config.initializer_range / writers**0.5, generator=generator)
            )
