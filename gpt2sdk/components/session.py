"""The session as strategies and components see it: rows, verbs, memory and mirrors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Completion, FinishReason, Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.shapes import Counts, Logits, Tokens, Uniforms

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Step:
    """What one `append` committed.

    Attributes:
        number: How many appends came before it.
        tokens: One token per row; -1 where a row took none.
        rows: The session's rows, as they are when this is read.
    """

    number: int
    tokens: tuple[int, ...]
    rows: Rows


class PerRow(ABC, Generic[Value]):
    """A column of values, one per row, that follows the rows through every verb."""

    @abstractmethod
    def __getitem__(self, rows: Rows) -> list[Value]:
        """The present values of these rows."""


class PerRowTensor(ABC):
    """The same for a stacked tensor: nothing waits for the device."""

    @abstractmethod
    def __getitem__(self, rows: Rows) -> Tensor:
        """The present values of these rows, stacked."""


class Mirror(ABC):
    """An auxiliary branch: another prompt, or another model, with the rows' own tokens."""

    @abstractmethod
    def next_logits(self, rows: Rows) -> Logits:
        """Raw float32 logits of what this branch expects next in each of these rows."""


class HiddenHistory(ABC):
    """A layer's hidden states at every position of a row, following the rows through every verb."""

    @abstractmethod
    def __getitem__(self, rows: Rows) -> list[Float[Tensor, "_ embed"]]:
        """Of each row, a line for each of its tokens that the model has read, prompt included.

        A row that was appended to and not read since lacks its last tokens; one that has slid on
        begins where its window begins. Not to be changed in place.

        Raises:
            LookupError: A row was never read.
        """


class Rehearsal(ABC):
    """Rows that go on for a trial: what a drafter needs to guess what will be picked.

    Nothing it does is seen by the session, its strategy or what follows the rows.

    Attributes:
        rows: The rows as they would be; where they draw, it is with the numbers of that draw.
    """

    rows: Rows

    @abstractmethod
    def choose(self, logits: Logits, index: Sequence[int] | None = None) -> Tokens:
        """What would be picked of these logits; -1 for rows where it cannot be told.

        Processors that remember nothing of rows act on them, in their order, then the sampler.
        Those with memory, mirrors or hidden states are passed over: they have not seen the trial.
        A sampler with memory is asked with what it remembers now.

        Args:
            logits: Of next positions, by whatever model.
            index: Which of `rows` they belong to; all by default.
        """

    @abstractmethod
    def append(self, tokens: Sequence[int]) -> None:
        """Let each row go on by a token; -1 leaves a row as it is."""


class Vocabulary(Protocol):
    """What a session can say about text.

    A prompt's text may be a stranger's, so special tokens that it spells out are plain text. The
    texts of options are the caller's own: components encode them with `allow_special=True`.
    """

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The id of each special token, by how it is spelled."""

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Token ids of a text; special tokens in it are plain text unless they are allowed."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids; special tokens as they are spelled."""


@runtime_checkable
class ContinuingVocabulary(Protocol):
    """A vocabulary that tells texts from what continues them.

    `continuation_tokens` and `continuation_text` ask it, and take any other one as it is.
    """

    def encode_continuation(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Token ids of a text behind another one: it gets no blank before it."""

    def decode_continuation(self, tokens: Sequence[int]) -> str:
        """The text of token ids behind others: the first one keeps its blank."""


class Session(ABC):
    """Owns cache, rows, stopping, streaming, memory and randomness; a strategy drives it.

    Attributes:
        model: What scores tokens.
        vocabulary: Text to tokens and back.
        num_return_sequences: How many completions each prompt is to give.
        rows: All rows, in order; a view that stays good.
    """

    model: CausalLM
    vocabulary: Vocabulary
    num_return_sequences: int
    rows: Rows

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether some row is unfinished, or some prompt still waits for a seat."""

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.model.device

    @abstractmethod
    def next_logits(self) -> Logits:
        """Raw float32 logits of each row's next position.

        Runs the model only where no scored position is at hand. Idle rows (finished, or waiting
        while others use up what was scored ahead) have zeros. Not to be changed in place.
        """

    @abstractmethod
    def process(self, logits: Logits) -> Logits:
        """The ordered chain, on logits or log-probabilities; idle rows stay as they are.

        A row that is left without a token, with NaN or infinity, or that a processor raises for
        ends there with `finish_reason="error"`, and has -inf everywhere. Where rows depend on one
        another, its prompt's others end with it, unless it merely has no token left.

        Raises:
            PluginContractError: A processor returned a wrong shape or type.
            Exception: A processor raised for the rows of every prompt.
        """

    @abstractmethod
    def choose(self, logits: Logits) -> Tokens:
        """The sampler's token for each row; -1 for idle rows, and for those it raises for.

        Raises:
            PluginContractError: A row has NaN or infinity, or nothing but -inf.
        """

    @abstractmethod
    def append(self, tokens: Tokens | Sequence[int]) -> Step:
        """Commit one token per row and return the step to yield.

        -1 means a row takes none; idle rows take none whatever is given. Runs no model.
        """

    @abstractmethod
    def fork(self, parents: Sequence[int] | Counts) -> None:
        """Rows become copies of `rows[parents]`: any number, in any order, finished ones too.

        Lanes are numbered anew. Rows nobody names are dropped, and so may a whole prompt.
        """

    @abstractmethod
    def rewind(self, counts: Sequence[int] | Counts) -> None:
        """Take back each row's last tokens, with their ends, memory and mirrors.

        A row that something is wrong with stays as it is: a component that raised must not look
        like a hypothesis that came to nothing.

        Raises:
            PluginContractError: A count reaches into the prompt, or behind text that was certain.
        """

    @abstractmethod
    def finish(self, rows: Sequence[int] | Counts, reason: FinishReason = "strategy") -> None:
        """End these rows where they stand; those that have ended keep their reason.

        So a row may be stopped because of what it wrote, or because its siblings have settled the
        matter. It is finished like any other: its text is certain, its seat is free where rows are
        independent, and a rewind takes the end back. Decide before the step is yielded: after
        that the rows are read once more.

        Args:
            rows: Their seats, as `rows.index` has them.
            reason: What their completions report.

        Raises:
            PluginContractError: No row sits there, or the reason is empty or `"error"`, which is
                for rows that something is wrong with.
        """

    @abstractmethod
    def submit(self, rows: Sequence[int], scores: Sequence[float]) -> None:
        """Hand in these rows' present sequences as completions.

        Each prompt's best `num_return_sequences` by score are kept, earlier ones on ties.
        """

    @abstractmethod
    def mirror(
        self, prompt: Callable[[Prompt], Sequence[int]], model: CausalLM | None = None
    ) -> Mirror:
        """Open a branch that follows the rows.

        Args:
            prompt: The branch's prompt tokens as a function of the row's prompt, so that rows
                admitted later get theirs.
            model: What scores it; the session's own by default.
        """

    @abstractmethod
    def hidden_history(self, layer: int) -> HiddenHistory:
        """Keep a layer's hidden states at all positions of the rows.

        A component opens it in `start`; a strategy names the layer in `wants`, and opens it
        before it asks for logits. It costs the width of the model for each token of a row, on
        the device, and prompts are scored at all their positions (docs/decisions/0030). Of that
        layer `rows.hidden_states` is there, too.

        Args:
            layer: 0 is the embedding, −1 the last, `model.layers`: the input of the final norm.

        Raises:
            LookupError: Rows were read before.
            OptionError: The model has no such layer.
        """

    @abstractmethod
    def rehearse(self, rows: Rows) -> Rehearsal:
        """Let these rows go on for a trial, from where they are."""

    @abstractmethod
    def per_row(
        self,
        initial: Callable[[Prompt], Value],
        accept: Callable[[Value, int, Tensor | None], Value],
        copy: Callable[[Value], Value] | None = None,
    ) -> PerRow[Value]:
        """Keep a host value per row.

        Args:
            initial: The value of a fresh row.
            accept: `(value, token, logits) -> value`, called as a token is appended; `logits` is
                what this run was given for that row since its last token, `None` if nothing.
            copy: Copies a value that `accept` changes in place; leave it out for immutable ones.
        """

    @abstractmethod
    def per_row_tensor(
        self,
        initial: Callable[[Prompt], Tensor],
        accept: Callable[[Tensor, Tokens, Logits | None], Tensor],
    ) -> PerRowTensor:
        """Keep a tensor per row, stacked.

        Args:
            initial: The entry of a fresh row, on the session's device.
            accept: `(values, tokens, logits) -> values` for all rows that took a token, in one
                call; rows that this run was given no logits for since their last token come in a
                call with `None`.
        """

    def uniform(self, purpose: str) -> Uniforms:
        """A number in [0, 1) for each row, a function of seed, lane, draws and purpose."""
        return self.rows.uniform(purpose)

    @abstractmethod
    def race(self, logits: Logits, purpose: str) -> Tokens:
        """Draw a token for each row with the probabilities `softmax(logits)`: see `Rows.race`.

        Unlike `choose` it asks no sampler. Idle rows get -1, whatever their logits are.
        """

    @abstractmethod
    def texts(self) -> list[str]:
        """What each row has written so far, complete characters only.

        A stop string that ended a row is still there: see `completions`.
        """

    @abstractmethod
    def completions(self, rows: Sequence[int] | Counts) -> list[Completion]:
        """What these rows would be handed in as: to be judged, compared or counted.

        Their texts end before end tokens and stop strings. Rows that go on have the reason
        `"strategy"`.

        Raises:
            PluginContractError: No row sits there.
        """
