"""One block of GPT-2: attention and a feed-forward layer, each behind a norm and beside a bypass.

The norms stand before the layers instead of behind them, which is what GPT-2 changed about the
decoder of Vaswani et al. (Radford et al., 2019, "Language Models are Unsupervised Multitask
Learners", section 2.3).
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.activations import Activation
from gpt2sdk.gpt2.attention import Attend, Heads
from gpt2sdk.gpt2.linear import Linear


class Attention(nn.Module):
    """Mixes what earlier positions hold into each position.

    Attributes:
        layer: The block's number, from 0.
        heads: How it attends.
    """

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        scaling = config.head_size**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            scaling /= layer + 1
        self.layer = layer
        self.heads = Heads(config.n_head, config.head_size, scaling, config.reorder_and_upcast_attn)
        self.attn_pdrop = config.attn_pdrop
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = Linear(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    @override
    def forward(self, x: Float[Tensor, "*places embed"], attend: Attend) -> Tensor:
        heads = replace(self.heads, dropout=self.attn_pdrop) if self.training else self.heads
        mixed = attend(self.layer, self.c_attn(x), heads)
        dropped: Tensor = self.resid_dropout(self.c_proj(mixed))
        return dropped


class FeedForward(nn.Module):
    """Computes something new at each position by itself."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.c_fc = Linear(config.n_embd, config.inner_size)
        self.act = Activation(config.activation_function)
        self.c_proj = Linear(config.inner_size, config.n_embd)
        self.dropout = nn.Dropout(config.resid_pdrop)

    @override
    def forward(self, x: Float[Tensor, "*places embed"]) -> Tensor:
        dropped: Tensor = self.dropout(self.c_proj(self.act(self.c_fc(x))))
        return dropped


class Block(nn.Module):
    """Adds to the residual stream what attention and the feed-forward layer find in it."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = FeedForward(config)

    @override
    def forward(self, x: Float[Tensor, "*places embed"], attend: Attend) -> Tensor:
        x = x + self.attn(self.ln_1(x), attend)
        passed: Tensor = x + self.mlp(self.ln_2(x))
        return passed
