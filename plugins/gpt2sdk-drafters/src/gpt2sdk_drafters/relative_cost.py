"""How dear a model is, compared with another one."""

from gpt2sdk import CausalLM
from gpt2sdk.gpt2 import GPT2


def relative_cost(draft: CausalLM, target: CausalLM) -> float:
    """Return what a pass of `draft` takes, in passes of `target`: by sizes, at one type.

    A pass reads each block's `12 * width**2` numbers and the head's `vocabulary * width`. Of
    models that are no `GPT2` only the numbers of blocks are compared.

    >>> from gpt2sdk import GPT2Config
    >>> wide = GPT2(GPT2Config(vocab_size=48, n_positions=8, n_embd=8, n_layer=3, n_head=1))
    >>> flat = GPT2(GPT2Config(vocab_size=48, n_positions=8, n_embd=4, n_layer=2, n_head=1))
    >>> relative_cost(flat, wide)  # (2 * 192 + 192) / (3 * 768 + 384)
    0.21428571428571427
    >>> relative_cost(wide.shallow(1), wide)  # (768 + 384) / (3 * 768 + 384)
    0.42857142857142855
    """
    if not isinstance(target, GPT2):
        return draft.layers / max(target.layers, 1)
    width = draft.config.n_embd if isinstance(draft, GPT2) else target.config.n_embd
    return _numbers(draft, width) / _numbers(target, target.config.n_embd)


def _numbers(model: CausalLM, width: int) -> int:
    return model.layers * 12 * width**2 + model.vocab_size * width
