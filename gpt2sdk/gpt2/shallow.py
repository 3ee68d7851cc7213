"""The first blocks of a model as a model: what it would say if it stopped early."""

from collections.abc import Sequence
from typing import Protocol

import torch
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM, KeyValueCache, Scores
from gpt2sdk.errors import OptionError


class Deep(CausalLM, Protocol):
    """A model whose cache says how many of its blocks run."""

    @override
    def make_cache(self, slots: int, depth: int | None = None) -> KeyValueCache:
        """Return an empty cache, for so many of the first blocks."""


class ShallowModel:
    """The first blocks of a model, its last norm and its head; a `CausalLM`.

    Reading the residual stream early is the "logit lens" (nostalgebraist, 2020). As a draft of the
    whole model: Elhoushi et al., 2024, "LayerSkip: enabling early exit inference and
    self-speculative decoding", arXiv:2404.16710.

    Attributes:
        layers: How many blocks run.

    Example:
        >>> from gpt2sdk.testing import tiny_gpt2
        >>> model = tiny_gpt2()
        >>> shallow = model.shallow(1)
        >>> cache = shallow.make_cache(1)
        >>> early = shallow.score(cache, [[3, 1, 4]], [1]).logits
        >>> stream = model.score(model.make_cache(1), [[3, 1, 4]], [1], [1]).hidden_states[1]
        >>> torch.allclose(early, model.ln_f(stream) @ model.wte.weight.T)
        True
    """

    def __init__(self, model: Deep, layers: int) -> None:
        """Take the first blocks of a model.

        Args:
            model: Its weights are used where they are.
            layers: How many blocks, from 1 to one less than it has.

        Raises:
            OptionError: There are not more blocks than that, or it is less than 1.
        """
        if not 1 <= layers < model.layers:
            what = f"a number of blocks from 1 to {model.layers - 1}"
            message = f"layers is {what}, since the model has {model.layers}; got {layers}"
            raise OptionError(message, name="layers", value=layers, expected=what)
        self.layers = layers
        self._model = model

    @property
    def vocab_size(self) -> int:
        """How many logits a position has."""
        return self._model.vocab_size

    @property
    def context_length(self) -> int:
        """How many tokens a slot can be fed."""
        return self._model.context_length

    @property
    def device(self) -> torch.device:
        """Where logits come out."""
        return self._model.device

    def make_cache(self, slots: int) -> KeyValueCache:
        """Return an empty cache; it grows by itself as tokens are fed."""
        return self._model.make_cache(slots, depth=self.layers)

    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed `tokens[i]` to slot `i`, after what it holds, and score its last positions.

        Raises:
            OptionError: An argument doesn't fit the cache or the model.
            ContextOverflowError: A slot would hold more than the context window.
        """
        return self._model.score(cache, tokens, keep, hidden_states)
