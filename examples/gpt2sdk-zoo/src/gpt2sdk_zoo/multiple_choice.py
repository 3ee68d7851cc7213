"""Multiple choice: a row's first token is the label of an answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    PerRow,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    Vocabulary,
    tokens_of,
)
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

_LEAST = -100.0


class MultipleChoice(LogitsProcessor):
    r"""Lets a row begin with one of these labels only; behind it, it goes on as it likes.

    With `multiple_choice_boost` the model's opinion of an answer's text counts beside that of its
    label: `z_label + boost * ln p(w)`, where `w` is the first token of the text behind the label in
    the prompt, the last time that a line begins with the label and the delimiter, as in `"\nA.
    Camera"`. Where some label has no such line, labels count as they are.

    A label is one token. Where the answer stands behind a colon that is mostly one with a blank,
    `" A"`; in the prompt's lines the blank is not looked for.

    Ahmet Erdem's MultipleChoiceLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1). It forces a
    label at each step (`AAAAA`), and where one of them is ruled out it makes them NaN. Its boost
    adds a multiple of the word's *logit*, so that a number added to all logits, which changes no
    probability, changes the answer where not all lines are found. It reads the prompt's first
    question, here it is the last; and it has to find the line's tokens as the label's. Only the
    labels that lead lines in the order given are found there.

    To choose among whole texts by their probabilities, `Generator.choose` is better.

    Raises:
        OptionError: In a call: a label is not one token, or is there twice.

    Example:
        The labels are a and c. The second row has answered.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[1], [1, 0]])
        >>> choice = MultipleChoice(multiple_choice=["a", "c"])
        >>> process(choice, [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[1.0, -inf, 3.0], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 70

    multiple_choice: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(max_length=1000, description="The labels; () is off.", examples=[("a", "b")]),
    ] = ()
    multiple_choice_delimiter: Annotated[
        str, Field(min_length=1, description="What stands behind a label in the prompt's lines.")
    ] = "."
    multiple_choice_boost: Annotated[
        float, Field(ge=0.0, le=100.0, description="Factor of what an answer's first word adds.")
    ] = 0.0

    @override
    def start(self, session: Session) -> ProcessorRun:
        cut = [tokens_of(label, session, "multiple_choice") for label in self.multiple_choice]
        labels = [tokens[0] for tokens in cut]
        longer = next(
            (
                label
                for label, tokens in zip(self.multiple_choice, cut, strict=True)
                if len(tokens) > 1
            ),
            None,
        )
        if longer is not None or len(set(labels)) < len(labels):
            what = "a label twice" if longer is None else f"the label {longer!r} of several tokens"
            raise OptionError(
                f"multiple_choice has {what}: expected labels of one token each, all different",
                name="multiple_choice",
                value=self.multiple_choice,
            )
        words = session.per_row(
            lambda prompt: self._words(prompt, session.vocabulary), lambda words, token, _: words
        )
        ids = torch.tensor(labels, dtype=torch.int64, device=session.device)
        return _Run(ids, self.multiple_choice_boost, words)

    def _words(self, prompt: Prompt, vocabulary: Vocabulary) -> tuple[int, ...]:
        """The first token of each answer's text; -1 for all where one is not found."""
        text = vocabulary.decode(prompt.tokens) if self.multiple_choice_boost else ""
        found = []
        for label in self.multiple_choice:
            line = rf"^[^\S\n]*{re.escape(label.strip() + self.multiple_choice_delimiter)}\s*(\S+)"
            words = re.findall(line, text, re.MULTILINE)
            blank = label[: len(label) - len(label.lstrip())]
            found += vocabulary.encode(blank + words[-1])[:1] if words else []
        count = len(self.multiple_choice)
        return tuple(found) if len(found) == count else (-1,) * count


@dataclass(frozen=True)
class _Run:
    """The labels, on the session's device, and the first words of each row's answers."""

    labels: Int64[Tensor, " labels"]
    boost: float
    words: PerRow[tuple[int, ...]]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Rule out what is no label where rows begin."""
        if not len(self.labels) or all(row.grown for row in rows.records):
            return logits
        own = logits[:, self.labels]
        answers = own + self._gains(logits, self.words[rows])
        answers = answers.masked_fill(own.isneginf(), -torch.inf)
        alone = torch.full_like(logits, -torch.inf).index_copy(1, self.labels, answers)
        begins = torch.tensor([row.grown == 0 for row in rows.records], device=logits.device)
        held = begins & ~own.isneginf().all(-1)
        return torch.where(held[:, None], alone, logits)

    def _gains(self, logits: Logits, words: Sequence[tuple[int, ...]]) -> Tensor:
        ids = torch.tensor(words, dtype=torch.int64, device=logits.device)
        nats = logits.log_softmax(-1).gather(1, ids.clamp(min=0)).clamp(min=_LEAST)
        return (self.boost * nats).masked_fill(ids < 0, 0.0)
