"""Logits processors: what the distribution over the next token may look like."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Protocol

from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.component import Component
from gpt2sdk.components.records import Completion, Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session, Vocabulary
from gpt2sdk.shapes import Logits
from gpt2sdk.spelling import likely


class Stage(IntEnum):
    """Where a processor stands in the chain; inside a stage `rank` decides, then the name."""

    GUIDANCE = 0
    """A second distribution is mixed in."""
    BIAS = 1
    """Single tokens or sequences are made likelier or less likely."""
    PENALTY = 2
    """Repetition is made less likely, length more or less."""
    CONSTRAIN = 3
    """Tokens are ruled out. Processors given as a list stand behind this stage."""
    TEMPERATURE = 4
    """The distribution is flattened or sharpened."""
    TRUNCATE = 5
    """The tail is cut off."""
    RANDOM = 6
    """Tokens are removed at random."""
    WATERMARK = 7
    """A signal is hidden in the choice."""
    NORMALIZE = 8
    """What is left is renormalised."""


class ProcessorRun(Protocol):
    """A processor at work in one session."""

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Return new logits for these rows; never change `logits` in place."""


class ForcingRun(ProcessorRun, Protocol):
    """One of a processor that `forces`."""

    def forced(self, rows: Rows) -> Sequence[Sequence[int]]:
        """Return the tokens that each of these rows takes next, whatever the model says.

        They are fed together with the row's last token, in one pass; `process` must see to it that
        they are picked. None where the model is to be asked.
        """


class LogitsProcessor(Component):
    """Turns logits into logits, row by row.

    Implementations override `process`, or `start` where they remember something: memory and
    mirrors are made from the session there, so nothing leaks from one call into the next.

    Attributes:
        stage: Where it stands in the chain.
        rank: Where it stands inside the stage, ascending.
        forces: Whether its runs know of tokens that come next whatever the model says: they are
            `ForcingRun`s, and such tokens are fed together instead of one after another.
        alone: What only one processor of a prompt may do, in words; empty for nothing.
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 0
    forces: ClassVar[bool] = False
    alone: ClassVar[str] = ""

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        stage: object = cls.stage
        if not isinstance(stage, Stage):
            near = likely(str(stage), Stage.__members__, 1) or [str(stage).upper()]
            known = [f"Stage.{each}" for each in near if each in Stage.__members__]
            expected = known or [f"Stage.{each}" for each in Stage.__members__]
            message = f"{cls.__name__}: stage is {stage!r}, expected {' or '.join(expected)}"
            raise TypeError(message)

    def wants(self, model: CausalLM) -> Iterable[int]:
        """Name the layers of which `rows.hidden_states(layer)` is read; none by default.

        No others are kept. 0 is the embedding, and −1 the last, `model.layers`.
        """
        return ()

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse what makes no sense for one of a call's prompts; nothing by default.

        It is asked before any work, for each prompt that it would act on.

        Args:
            prompt: The prompt, with how far it may grow and what ends its rows.

        Raises:
            OptionError: An option contradicts another one, or would have no effect.
        """

    def parse(self, completion: Completion) -> object:
        """Return what a completion says, where this gives it a form; `None` where it has it not.

        It becomes `completion.parsed`. Nothing is to be raised.
        """
        return None

    def cut_back(
        self, prompts: Sequence[Sequence[int]], vocabulary: Vocabulary, vocab_size: int
    ) -> Sequence[int]:
        """Say how many of each prompt's last tokens its rows write anew; none by default.

        It is asked first of all, at once for all prompts of a call that it acts on. What is cut
        off is `prompt.cut` then, and no longer among `prompt.tokens`. The processor sees to it
        that rows begin with the same text: as many characters are left out of their texts. The
        most that a processor says counts, and a prompt keeps one token.

        Args:
            prompts: The tokens of each prompt, as they were given.
            vocabulary: Text to tokens and back.
            vocab_size: How many tokens the model has.
        """
        return [0] * len(prompts)

    def start(self, session: Session) -> ProcessorRun:
        """Begin a session: return what processes there, by default the component itself."""
        return self

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Return new logits for these rows.

        Args:
            logits: Unnormalised, float32; strategies with scores hand in log-probabilities.
                Must not be changed in place. `-inf` where a token is already out.
            rows: The rows the logits belong to, in order.
        """
        message = f"{type(self).__name__} overrides neither start nor process"
        raise TypeError(message)
