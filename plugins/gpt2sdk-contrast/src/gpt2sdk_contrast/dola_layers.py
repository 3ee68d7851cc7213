"""DoLa: what the last layer thinks likelier than an earlier one does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    CausalLM,
    LayeredLM,
    Logits,
    LogitsProcessor,
    OptionError,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    row_sums,
)
from gpt2sdk.gpt2 import GPT2, TiedHead
from gpt2sdk_contrast.plausible import plausible

_MOST = 40
"""Layers up to which halves of the model are taken; of deeper ones, twenty layers."""


def _layers(written: object) -> object:
    """A union's own message would name one of its types only."""
    layers = written if isinstance(written, tuple) else (written,)
    known = isinstance(written, str) and written in ("low", "high")
    if written is None or known or (layers and all(type(each) is int for each in layers)):
        return written
    raise ValueError('should be "low", "high", a layer or a list of layers')


class DolaLayers(LogitsProcessor):
    """Contrasts the last layer with an earlier one: `log p - log q`, where p is plausible.

    `p` is the row's distribution, `q` what the head makes of an earlier layer's hidden state. With
    one layer that is the one (static); of several, for each row and token, the one whose `q` is
    farthest from `p` (dynamic): the largest `KL(m | p) + KL(m | q)`, `m` the mean of the two.
    Tokens less likely than `dola_relative_top` times the likeliest are out. What comes out is not
    normalised. The authors advise `repetition_penalty=1.2` with it.

    "low" and "high" are every second layer of the lower or upper half, as in transformers: of N
    layers `range(start, N // 2, 2)` and `range(N // 2, N, 2)`, with 20 in place of `N // 2` beyond
    40. `start` is 2 where input and output share their table, since what the table makes of the
    embedding is the token itself; 0 with a head of its own; 1 of 2 layers, 0 of 1. Of 3 layers
    "low" is 2; transformers fails there.

    Values are those of `transformers-community/dola`: its divergences have `m` first, the other
    way round than in the paper, and the head reads earlier layers without the final norm, as
    GPT-2's never did in training; `dola_final_norm=True` puts that between. Unlike there each row
    has its own layer, not the batch one, and layers that do not exist are an error.

    Chuang et al., "DoLa: decoding by contrasting layers improves factuality in large language
    models", 2023, arXiv:2309.03883.

    Raises:
        OptionError: The model has no such layer, or cannot be asked what its layers expect.

    Example:
        Both layers are as sure of the third token; the second is what the last layer learned.

        >>> last = torch.tensor([[0.4, 0.4, 0.2]]).log()
        >>> earlier = torch.tensor([[[0.7, 0.1, 0.2]]]).log()
        >>> contrast_layers(last, earlier, 0.1).exp()
        tensor([[0.5714, 4.0000, 1.0000]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE
    rank: ClassVar[int] = 1

    dola_layers: Annotated[
        Literal["low", "high"] | int | tuple[int, ...] | None,
        BeforeValidator(_layers),
        Field(
            description="Which earlier layers: low, high, or their numbers; 0 is the embedding.",
            examples=[1],
        ),
    ] = None
    dola_relative_top: Annotated[
        float,
        Field(gt=0.0, le=1.0, description="Share of the best token's probability to stay above."),
    ] = 0.1
    dola_final_norm: Annotated[
        bool, Field(description="Let the head read earlier layers through the final norm.")
    ] = False

    @override
    def wants(self, model: CausalLM) -> Iterable[int]:
        return self._numbers(model)

    @override
    def start(self, session: Session) -> ProcessorRun:
        model = session.model
        if not isinstance(model, LayeredLM):
            kind = type(model).__name__
            raise OptionError(
                f"dola_layers asks layers what they expect, and {kind} has no final_norm and "
                "unembed to do so",
                name="dola_layers",
                expected="a LayeredLM",
            )
        layers = self._numbers(model)
        return _Run(model, layers, self.dola_relative_top, self.dola_final_norm)

    def _numbers(self, model: CausalLM) -> Sequence[int]:
        written = self.dola_layers
        if isinstance(written, str):
            own_head = isinstance(model, GPT2) and not isinstance(model.lm_head, TiedHead)
            return half(written, model.layers, tied=not own_head)
        layers = written if isinstance(written, tuple) else () if written is None else (written,)
        for layer in layers:
            if not 0 <= layer < model.layers:
                what = f"layers from 0 to {model.layers - 1}, below the last"
                raise OptionError(
                    f"dola_layers has {layer}: expected {what}",
                    name="dola_layers",
                    value=written,
                    expected=what,
                )
        return layers


@dataclass(frozen=True)
class _Run:
    """The contrast at work in one session."""

    model: LayeredLM
    layers: Sequence[int]
    share: float
    norm: bool

    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not self.layers:
            return logits
        states = torch.stack([rows.hidden_states(layer) for layer in self.layers])
        states = self.model.final_norm(states) if self.norm else states
        return contrast_layers(logits, self.model.unembed(states), self.share)


def contrast_layers(
    logits: Logits, earlier: Float[Tensor, "layers rows vocab"], share: float
) -> Logits:
    """Return `log p - log q`, with the layer of each row that is farthest from it."""
    last, layers = logits.log_softmax(-1), earlier.log_softmax(-1)
    chosen = divergences(last, layers).argmax(0)
    base = layers[chosen, torch.arange(len(last), device=last.device)]
    return (last - base).where(plausible(last, share), -torch.inf)


def divergences(
    last: Logits, layers: Float[Tensor, "layers rows vocab"]
) -> Float[Tensor, "layers rows"]:
    """Return `(KL(m | p) + KL(m | q)) / 2` over the tokens that are not ruled out, in nats."""
    mean = (last.exp() + layers.exp()) / 2
    both = (mean.log() - (last + layers) / 2) * mean
    return row_sums(both.where(last.isfinite() & (mean > 0), 0.0))[..., 0]


def half(written: str, count: int, *, tied: bool) -> Sequence[int]:
    """Return every second layer of the lower or upper half of `count`, as transformers does.

    >>> half("low", 12, tied=True), half("high", 12, tied=True)
    ([2, 4], [6, 8, 10])
    >>> half("low", 12, tied=False), half("low", 48, tied=True)[-1], half("high", 48, tied=True)[0]
    ([0, 2, 4], 18, 28)
    """
    middle = count // 2 if count <= _MOST else 20
    if written == "high":
        return list(range(count - middle if count > _MOST else middle, count, 2))
    start = 0 if not tied or count < 2 else min(2, count - 1)
    return list(range(start, middle, 2)) or [start]
