"""Sessions on the table model, and whole calls as the generator makes them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
from pydantic import Field

from gpt2sdk import (
    Completion,
    Delta,
    Generator,
    LogitsProcessor,
    PerRow,
    PerRowTensor,
    PluginContractError,
    Prompt,
    Usage,
    hookimpl,
    sample,
)
from gpt2sdk.defaults import Multinomial
from gpt2sdk.options import Composition
from gpt2sdk.options.order import Entry
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.engine import Engine
from gpt2sdk.session.reader import Reader
from gpt2sdk.session.request import Lead
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer
from gpt2sdk_stopping.stop import Stop

ALPHABET = "abcdefghij."
END = len(ALPHABET)


@dataclass
class Outcome:
    """What a call made, by prompt and sample, and what it cost."""

    completions: dict[tuple[int, int], Completion]
    deltas: Sequence[Delta]
    usage: Usage

    def __getitem__(self, place):
        return self.completions[place]

    @property
    def essence(self):
        """All that must not depend on how it was computed."""
        return {
            place: (each.tokens, each.text, each.finish_reason, each.score)
            for place, each in self.completions.items()
        }


def _table_model(**options):
    return TableModel(END + 1, **{"order": 3, "bias": {END: -3.0}, **options})


def _entries(components):
    """Name components as calls do; a list among them has one for each prompt."""
    entries: list[Entry] = []
    for each in components:
        components = tuple(each) if isinstance(each, list) else (each,)
        name = next(one.name for one in components if one is not None)
        number = sum(entry.purpose.partition("#")[0] == name for entry in entries)
        entries.append(Entry(components, f"{name}#{number}" if number else name))
    return tuple(entries)


def _requests(
    prompts,
    strategy=sample,
    *,
    vocabulary=None,
    seeds=None,
    max_new_tokens=30,
    chain=(),
    stop=(),
    sampler=None,
    drafter=None,
    num_return_sequences=1,
    overflow="error",
    eos_token_ids=frozenset([END]),
    streaming=False,
    cancelled=lambda: False,
    **composition,
):
    """Make the requests of a call. A prompt is a text or token ids, and its seed is its place."""
    vocabulary = vocabulary or Letters(ALPHABET)
    records = []
    for place, each in enumerate(prompts):
        tokens = vocabulary.encode(each) if isinstance(each, str) else each
        room = max_new_tokens if isinstance(max_new_tokens, int) else max_new_tokens[place]
        seed = place if seeds is None else seeds[place]
        records.append(Prompt(place, tuple(tokens), seed, room, eos_token_ids=eos_token_ids))
    strategy = strategy.component() if hasattr(strategy, "component") else strategy
    whole = Composition(
        (Lead(strategy, sampler or Multinomial(), drafter, num_return_sequences, overflow),),
        _entries([*chain, *([Stop(stop=stop)] if stop else [])]),
        **composition,
    )
    return whole.requests(records, streaming=streaming, cancelled=cancelled)


def _open_session(
    prompts, strategy=sample, *, model=None, vocabulary=None, batch_size=32, **composition
):
    """Open a session whose first rows have begun, for calling its verbs."""
    vocabulary = vocabulary or Letters(ALPHABET)
    requests = _requests(prompts, strategy, vocabulary=vocabulary, **composition)
    session = DecodingSession(Reader(model or _table_model()), vocabulary, vocabulary, requests)
    session.course.refill(batch_size)
    return session


def _run(prompts, strategy=sample, *, model=None, vocabulary=None, batch_size=32, **composition):
    """Run a call to its end as the generator does; its deltas must add up to its completions."""
    vocabulary = vocabulary or Letters(ALPHABET)
    requests = _requests(prompts, strategy, vocabulary=vocabulary, **composition)
    engine = Engine(model or _table_model(), vocabulary, vocabulary, batch_size=batch_size)
    engine.submit(requests)
    while engine.step():
        pass
    for request in requests:
        if request.loss is not None:
            failure = request.loss.failure
            raise failure.cause or PluginContractError(failure.what)
    deltas = list(requests[0].outbox)
    completions, joined = {}, {}
    for delta in deltas:
        place = delta.prompt_index, delta.sample_index
        text, tokens = joined.get(place, ("", ()))
        joined[place] = text + delta.text, tokens + delta.tokens
        assert place not in completions
        if delta.completion is not None:
            completions[place] = delta.completion
    assert {place: (each.text, each.tokens) for place, each in completions.items()} == joined
    return Outcome(completions, deltas, requests[0].meter.usage())


@pytest.fixture(scope="session")
def table_model():
    """Return what makes a `TableModel` whose tokens are `abcdefghij.` and an end token."""
    return _table_model


@pytest.fixture(scope="session")
def open_session():
    """Return what opens a session, for tests that call the verbs themselves."""
    return _open_session


def _finish(session):
    """End a session's requests, and return what it has sent."""
    outbox = next(iter(session.course.requests)).outbox
    for request in session.course.requests:
        session.course.end(request, "strategy")
    return list(outbox)


@pytest.fixture(scope="session")
def finish():
    """Return what ends a session and returns its deltas."""
    return _finish


@pytest.fixture(scope="session")
def run():
    """Return what runs a whole call."""
    return _run


class Entropy(LogitsProcessor):
    """Sharpens rows by two memories: of odd tokens taken, and of logits seen."""

    entropy: Annotated[float, Field(ge=0.0, description="How much.")] = 0.0

    def start(self, session):
        return EntropyRun(
            self.entropy,
            session.per_row(lambda prompt: prompt.tokens[0], lambda old, token, _: old + token % 2),
            session.per_row_tensor(lambda prompt: torch.tensor(1.0), self.mean),
        )

    @staticmethod
    def mean(old, tokens, logits):
        if logits is None:
            return old
        return 0.9 * old + 0.1 * torch.special.entr(logits.softmax(-1)).sum(-1)


@dataclass
class EntropyRun:
    """What is remembered of each row."""

    scale: float
    odd: PerRow
    mean: PerRowTensor

    def process(self, logits, rows):
        odd = torch.tensor(self.odd[rows]) % 10
        return logits * (1 + self.scale * self.mean[rows] + 0.01 * odd)[:, None]


class Plugin:
    """Offers the processor with a memory, so that calls can name it."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Entropy,)


@pytest.fixture
def run_generator(run_by):
    """Return a generator whose GPT-2, in float32, a runner computes; `entropy` as below."""
    return Generator(run_by(tiny_gpt2()), tiny_tokenizer(), registry=Registry([Plugin()]))


@pytest.fixture(scope="session")
def generators():
    """Return generators by name, each with prompts: a table, one that tends to loop, a GPT-2.

    Their calls have a processor more, with a memory: `entropy`.
    """
    chance = random.Random(0)  # noqa: S311 - test data
    letters = Letters(ALPHABET)
    registry = Registry([Plugin()])
    words = ["Once", "upon", "a", "time", "in", "the", "pond", "and", "on", "he", "went"]
    texts = ["".join(chance.choices(ALPHABET[:-1], k=chance.randint(1, 9))) for _ in range(16)]

    def lettered(model):
        return Generator(model, letters, decoder=letters, eos_token_ids=[END], registry=registry)

    return {
        "table": (lettered(_table_model()), texts),
        "loops": (lettered(_table_model(order=2, scale=6.0)), texts),
        "gpt2": (
            # In float64: sums of another order then differ too little to decide a draw.
            Generator(tiny_gpt2().double(), tiny_tokenizer(), registry=registry),
            [" ".join(chance.choices(words, k=chance.randint(1, 9))) for _ in range(16)],
        ),
    }
