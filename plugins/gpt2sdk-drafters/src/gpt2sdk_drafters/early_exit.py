"""Early exit: the model's own first blocks propose."""

from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field
from typing_extensions import override

from gpt2sdk import CausalLM, Drafter, DrafterRun, OptionError, Session
from gpt2sdk_drafters.drafting_model import DraftingModel
from gpt2sdk_drafters.relative_cost import relative_cost


@runtime_checkable
class Shallowable(Protocol):
    """A model that can stop after some of its blocks, as `GPT2` can."""

    def shallow(self, layers: int) -> CausalLM:
        """Return the first blocks, the last norm and the head as a model."""


class EarlyExit(Drafter):
    """Proposes what the model's first blocks, its last norm and its head pick by themselves.

    It needs no other model and no other weights, but keys and values of those blocks a second
    time. It pays where the model was trained to be read early; of others, the last norm and the
    head make little of what early blocks say, and most proposals fail: then the session hardly
    drafts.

    Elhoushi et al., "LayerSkip: enabling early exit inference and self-speculative decoding",
    2024, arXiv:2404.16710. There the draft's keys are used again by the whole model; here each
    pass computes its own, so that tokens are those of a call without a drafter.

    Example:
        `TableModel(order=1)` looks at the last token, and so does its first layer by itself, so
        that all it proposes is right.

        >>> import torch
        >>> from gpt2sdk import Generator
        >>> from gpt2sdk.testing import Letters, TableModel
        >>> letters = Letters("abc")
        >>> gen = Generator(TableModel(3, order=1), letters, decoder=letters)
        >>> drafter = EarlyExit(assistant_early_exit=1)
        >>> result = gen.generate("ab", strategy="greedy", drafter=drafter, max_new_tokens=32)
        >>> result.usage.drafted == result.usage.accepted > 0
        True
    """

    assistant_early_exit: Annotated[
        int,
        Field(ge=1, description="After how many blocks; fewer than the model has.", examples=[1]),
    ]
    assistant_confidence_threshold: Annotated[
        float,
        Field(ge=0.0, le=1.0, description="Least probability of a proposed token; 0 is any."),
    ] = 0.0

    @override
    def start(self, session: Session) -> DrafterRun:
        """Begin a session.

        Raises:
            OptionError: The model has not more blocks than that, or cannot stop early.
        """
        return DraftingModel(session, self._shallow(session), self.assistant_confidence_threshold)

    @override
    def cost(self, session: Session) -> float:
        return relative_cost(self._shallow(session), session.model)

    def _shallow(self, session: Session) -> CausalLM:
        model, layers = session.model, self.assistant_early_exit
        if not isinstance(model, Shallowable):
            message = f"early_exit needs a model with shallow(), which {type(model).__name__} lacks"
            raise OptionError(message, name="drafter")
        if layers >= model.layers:
            expected = f"less than {model.layers}, the number of the model's blocks"
            raise OptionError(
                f"assistant_early_exit is {expected}; got {layers}",
                name="assistant_early_exit",
                value=layers,
                expected=expected,
            )
        return model.shallow(layers)
