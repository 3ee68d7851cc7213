"""The records that flow: prompts in; deltas, completions and a result out, and scores of texts."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.errors import OptionError

FinishReason = str
"""`length, end_token, stop_string, stop_regex, max_time, loop, constraint_complete,
constraint_incomplete, cancelled, error`, `custom` for a plain callable, `strategy` for a row its
strategy left unfinished, or what a plugin's criterion declares."""

LONGEST_CONTEXT = 64
"""How many tokens before those that a row took back it remembers with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One prompt of a call, as every component may see it.

    Prompts are compared by identity: two calls may ask for the same.

    Attributes:
        index: Its place in its call, from 0.
        tokens: Its token ids; at least one.
        seed: Its row seed.
        max_new_tokens: How many tokens its rows may grow by.
        text: What it was written as; `None` where token ids were given.
        eos_token_ids: The tokens that end its rows.
        started: When it was handed in, by `time.monotonic()`, in seconds.
        cut: What it ended with as it was given, and a processor cut off: its rows write it anew.
    """

    index: int
    tokens: tuple[int, ...]
    seed: int = 0
    max_new_tokens: int = 128
    text: str | None = None
    eos_token_ids: frozenset[int] = frozenset()
    started: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - as it is now
    cut: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row cannot go on.

    Attributes:
        component: Who failed; empty for the model.
        what: What happened, as a sentence.
        cause: What was raised, if anything was.
        dead: Nothing was raised or wrong: no token was left to choose from. Other hypotheses of
            the prompt may go on then.
    """

    component: str
    what: str
    cause: Exception | None = None
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished continuation of a prompt.

    Attributes:
        text: The continuation, ending before an end token and before a stop string.
        tokens: Its token ids, an end token and a stop string's tokens included, and before them
            what a processor that cut the prompt back let its rows write anew.
        prompt_index: The prompt it continues.
        sample_index: Its number among that prompt's completions, best or first from 0.
        finish_reason: Why it ended.
        score: What the strategy handed in with it; `None` where it gives no scores.
        logprobs: Log-probability of each token (natural log) by the model's own logits, where they
            were asked for; NaN for a token that nothing had scored.
        processed_logprobs: The same behind the processors, as the token was picked.
        support: How many tokens the processors left each token to be picked from; 0 where a
            strategy appended one without them.
        top_logprobs: The likeliest tokens of each step by the model's own logits, best first, as
            `(token, log-probability)`; as many as were asked for, without those that cannot come.
        parsed: What the text says, where a processor gave it a form and it has it: the JSON value
            of a `json_schema`, for one.
    """

    text: str
    tokens: tuple[int, ...]
    prompt_index: int
    sample_index: int
    finish_reason: FinishReason
    score: float | None = None
    logprobs: tuple[float, ...] | None = None
    parsed: object = None
    processed_logprobs: tuple[float, ...] | None = None
    support: tuple[int, ...] | None = None
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What became certain of one row since its last delta.

    Attributes:
        text: New text; joined over a row's deltas it is the completion's text.
        tokens: New token ids; joined likewise.
        prompt_index: The prompt the row continues.
        sample_index: The row's number among its prompt's completions.
        finish_reason: Why the row ended; `None` while it goes on.
        completion: The whole completion, with the row's last delta.
        logprobs: The log-probability of each new token, as `Completion.logprobs` has them, where
            they were asked for.
        top_logprobs: The likeliest tokens of each new token's step, likewise.
    """

    text: str
    tokens: tuple[int, ...]
    prompt_index: int
    sample_index: int
    finish_reason: FinishReason | None = None
    completion: Completion | None = None
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost.

    Attributes:
        prompt_tokens: Tokens of all prompts.
        new_tokens: Tokens of all completions.
        model_calls: Forward passes, mirrors' included, those of a draft model not.
        tokens_fed: Tokens the model read, drafts and re-reads included.
        drafted: Tokens that were scored ahead, since a drafter proposed or a processor forced them;
            each copy of a row has its own.
        accepted: Those of them that were then really picked.
        seconds: Wall time from the first forward pass to the end.
    """

    prompt_tokens: int = 0
    new_tokens: int = 0
    model_calls: int = 0
    tokens_fed: int = 0
    drafted: int = 0
    accepted: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a call made.

    Attributes:
        completions: Ordered by prompt, then by sample.
        usage: What the call cost.
        options: What was in force, defaults and seeds included; as JSON-ready values.
        record: The same with the model, each component and its version: what repeats the call.
        notes: What whoever called should know, one line each.
    """

    completions: tuple[Completion, ...]
    usage: Usage = field(default_factory=Usage)
    options: Mapping[str, object] = field(default_factory=dict)
    record: CallRecord | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the only completion.

        Raises:
            OptionError: There is not exactly one completion; see `texts`. A stream has none before
                a row was read to its end.
        """
        return self._only("text", ".texts").text

    @property
    def parsed(self) -> object:
        """What the text of the only completion says; see `Completion.parsed`.

        Raises:
            OptionError: There is not exactly one completion: read `completions`. A stream has none
                before a row was read to its end.
        """
        return self._only("parsed", ".completions").parsed

    @property
    def texts(self) -> list[str]:
        """The texts of all completions, ordered by prompt, then by sample."""
        return [completion.text for completion in self.completions]

    def _only(self, name: str, several: str) -> Completion:
        """The only completion.

        Args:
            name: What of it is asked for.
            several: Where that is found of several.
        """
        if len(self.completions) == 1:
            return self.completions[0]
        message = (
            f"there are {len(self.completions)} completions, not one: read {several}"
            if self.completions
            else "no completion is there yet: read the stream to its end first, as in "
            "`for delta in stream: …`, or end it where it is with stream.close()"
        )
        raise OptionError(message, name=name)


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a text is to a model.

    Attributes:
        tokens: The scored tokens.
        texts: The text that becomes complete with each of them. A character of several tokens
            stands at its last one; special tokens have none.
        logprobs: The log-probability of each (natural log), given all before it that the window
            holds.
        nbytes: UTF-8 bytes of the scored text.
        context: What stood before the scored tokens: the context that was given, or else one token,
            the tokenizer's bos token. Where there is none, it is the text's own first token, which
            is then not scored.
        likeliest: Whether each of them was what the model thinks likeliest there.
        top_logprobs: The likeliest tokens in the place of each, best first, as
            `(token, log-probability)`; as many as were asked for.

    Example:
        >>> score = Score((5, 3), ("to", " be"), (math.log(1 / 2), math.log(1 / 8)), 5, (0,))
        >>> score.bits, score.perplexity, score.bits_per_byte
        (4.0, 4.0, 0.8)
    """

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    logprobs: tuple[float, ...]
    nbytes: int
    context: tuple[int, ...] = ()
    likeliest: tuple[bool, ...] = ()
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] = ()

    @property
    def greedy(self) -> bool:
        """Whether greedy decoding would have written just this."""
        return all(self.likeliest)

    @property
    def token_count(self) -> int:
        """How many tokens were scored."""
        return len(self.tokens)

    @property
    def nats(self) -> float:
        """What the text costs: the sum of −ln p over its tokens."""
        return -math.fsum(self.logprobs)

    @property
    def bits(self) -> float:
        """The same in bits: the sum of −log2 p."""
        return self.nats / math.log(2.0)

    @property
    def perplexity(self) -> float:
        """The exponential of the mean of −ln p: among how many likely tokens the model wavers."""
        try:
            return math.exp(self.nats / len(self.tokens))
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte, comparable between vocabularies; infinite where there is no text."""
        return self.bits / self.nbytes if self.nbytes else math.inf


@dataclass(slots=True)
class Row:
    """One growing sequence, on the host.

    Attributes:
        prompt: What it continues.
        lane: Its number among its prompt's rows.
        tokens: The prompt's ids and what was appended.
        draws: How many tokens were ever appended, those since taken back included.
        finish_reason: Why it ended; `None` while it goes on.
        failure: What was wrong where that is `"error"`.
        written: How many of its tokens stand in the store's buffer.
        reached: How many new tokens it had, at most, when some were taken back.
        taken_back: What was, each time: these tokens, and the new ones before them as far as the
            longest context of a sampler, which may ask what it drew there.
        handed: Whether its completion was sent.
    """

    prompt: Prompt
    lane: int
    tokens: list[int] = field(default_factory=list)
    draws: int = 0
    finish_reason: FinishReason | None = None
    failure: Failure | None = None
    written: int = 0
    reached: int = 0
    taken_back: tuple[tuple[int, ...], ...] = ()
    handed: bool = False

    def fail(self, failure: Failure) -> None:
        """End it, since something is wrong."""
        self.finish_reason, self.failure = "error", failure

    @property
    def peak(self) -> int:
        """How many new tokens it has had at most."""
        return max(self.reached, self.grown)

    def take_back(self, count: int) -> None:
        """Remove the last tokens, and its end.

        >>> row = Row(Prompt(0, (9,), 0), 0, tokens=[9, 1, 2, 3])
        >>> row.take_back(1)
        >>> row.tokens, row.taken_back, row.reached
        ([9, 1, 2], ((1, 2, 3),), 3)
        """
        self.reached = self.peak
        new = self.new_tokens
        self.taken_back += (tuple(new[max(0, len(new) - count - LONGEST_CONTEXT) :]),)
        del self.tokens[len(self.tokens) - count :]
        self.written = min(self.written, len(self.tokens))
        self.finish_reason = self.failure = None

    @property
    def new_tokens(self) -> list[int]:
        """What was appended to the prompt."""
        return self.tokens[len(self.prompt.tokens) :]

    @property
    def grown(self) -> int:
        """How many tokens were appended."""
        return len(self.tokens) - len(self.prompt.tokens)
