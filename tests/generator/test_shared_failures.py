"""What fails or ends on a shared engine: that one thing, and nothing of the others."""

import pytest
import torch

from gpt2sdk import (
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    TextCriterion,
    each,
    hookimpl,
    strategy,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.reader import Reader
from gpt2sdk.testing import Letters, TableModel

ALPHABET = "abcdefghij."
END = len(ALPHABET)
ROOM = {"max_new_tokens": 9, "eos_token_id": None, "seed": 1}


class Remembering(LogitsProcessor):
    """Keeps a value per row whose function raises where it is told to."""

    raises: str = ""

    def start(self, session):
        self.column(session)
        return self

    def column(self, session):
        def initial(prompt):
            if self.raises == "initial":
                raise ZeroDivisionError("at first")
            return torch.tensor(0)

        def accept(values, tokens, logits):
            if self.raises == "accept":
                raise ZeroDivisionError("later")
            return values

        session.per_row_tensor(initial, accept)
        session.per_row(initial, accept)

    def process(self, logits, rows):
        return logits


class Searching(TextCriterion):
    """Raises while it looks for an end."""

    searching: bool = False

    def search(self, text, start):
        raise ZeroDivisionError("nowhere")


class Refusing(LogitsProcessor):
    """Does not start."""

    refusing: bool = False

    def start(self, session):
        session.per_row(lambda prompt: 0, lambda value, token, logits: value)
        raise OptionError("not today", name="refusing")


class Amateur(LogitsProcessor):
    """Opens a mirror with a model that breaks."""

    amateur: bool = False

    def start(self, session):
        mirror = session.mirror(lambda prompt: prompt.tokens, model=BROKEN)

        class Run:
            def process(self, logits, rows):
                return logits + mirror.next_logits(rows)

        return Run()


class Hidden(LogitsProcessor):
    """Reads hidden states."""

    hidden: bool = False

    def wants(self, model):
        return [1]

    def process(self, logits, rows):
        return logits + rows.hidden_states(1).sum(-1, keepdim=True)


class Plugin:
    @hookimpl
    def gpt2sdk_components(self):
        return (Remembering, Searching, Refusing, Amateur, Hidden)


def table(**options):
    return TableModel(END + 1, order=3, **options)


def generator(model=None):
    letters, registry = Letters(ALPHABET), Registry([Plugin()])
    return Generator(
        model or table(), letters, decoder=letters, eos_token_ids=[END], registry=registry
    )


class Broken(TableModel):
    def score(self, *arguments):
        raise MemoryError("no memory left")


BROKEN = Broken(END + 1)


@pytest.fixture(scope="module")
def gen():
    return generator()


FAILING = [{"raises": "initial"}, {"raises": "accept"}, {"searching": True}, {"amateur": True}]


@pytest.mark.parametrize("options", FAILING)
def test_a_neighbour_of_what_fails_gets_what_it_gets_alone(options, gen):
    engine = gen.engine()
    bad = gen.stream("abc", engine=engine, **options, **ROOM)
    good = gen.stream("abd", engine=engine, strategy="greedy", **ROOM)
    twin = gen.stream("abd", engine=engine, **ROOM)
    with pytest.raises(GenerationError):
        list(bad)
    list(good)
    list(twin)

    assert gen.generate("abd", strategy="greedy", **ROOM).text == good.result.text
    assert gen.generate("abd", **ROOM).text == twin.result.text


@pytest.mark.parametrize(
    "options", [{"raises": each([None, one, None])} for one in ("initial", "accept")]
)
def test_one_prompt_of_three_fails_by_its_memory(options, gen):
    with pytest.raises(GenerationError, match=r"prompt 1, step .: remembering raised") as caught:
        gen.generate(["ab", "cd", "ef"], **options, **ROOM)

    made = caught.value.partial.completions
    assert ["length", "error", "length"] == [one.finish_reason for one in made]


def test_a_component_that_does_not_start_leaves_nothing_behind(gen):
    engine = gen.engine()
    stream = gen.stream("abc", engine=engine, **ROOM)
    before = len(engine._unbegun[0].course.followers._joined)  # noqa: SLF001
    for _ in range(3):
        with pytest.raises(OptionError, match="not today"):
            gen.stream("abd", engine=engine, refusing=True, **ROOM)

    assert before == len(engine._unbegun[0].course.followers._joined)  # noqa: SLF001
    list(stream)


def test_a_model_that_failed_once_leaves_the_slots_right():
    class Failing(TableModel):
        fails = 0

        def score(self, *arguments):
            self.fails -= 1
            if self.fails == 0:
                raise MemoryError("no memory left")
            return super().score(*arguments)

    model = Failing(END + 1, order=3)
    gen = generator(model)
    for fails in (1, 2, 3):
        model.fails = fails
        engine = gen.engine()
        with pytest.raises(GenerationError, match="no memory left"):
            gen.generate(["abc", "abc"], engine=engine, num_return_sequences=2, **ROOM)
        again = gen.generate(["abc", "abd"], engine=engine, **ROOM)

        assert gen.generate(["abc", "abd"], **ROOM).texts == again.texts
        slots = engine._reader.slots(model)  # noqa: SLF001
        assert [] == slots._holders  # noqa: SLF001


def test_hidden_states_are_read_up_to_a_full_window():
    gen = generator(table(context_length=8))

    made = gen.generate(["abc", "abcdef"], hidden=True, eos_token_id=None, seed=1)
    assert [6, 3] == [len(one.tokens) for one in made.completions]


def test_a_call_is_not_overtaken_by_later_ones(gen):
    engine = gen.engine(batch_size=2)
    streams = [gen.stream("abc", engine=engine, **ROOM)]
    streams.append(gen.stream("abc", engine=engine, **ROOM))
    searched = gen.stream("abc", engine=engine, strategy="beam", num_beams=2, **ROOM)
    for _ in range(20):
        streams.append(gen.stream("abc", engine=engine, **ROOM))
        engine.step()
    over = sum(bool(stream.result.completions) for stream in streams[2:])

    assert searched.result.completions
    assert over <= 2


def test_a_waiting_call_can_be_cancelled_at_once(gen):
    engine = gen.engine(batch_size=1)
    first = gen.stream("abc", engine=engine, **ROOM)
    next(first)
    calls = gen.model.calls
    second = gen.stream("abd", engine=engine, **ROOM)
    second.close()

    assert ["cancelled"] == [one.finish_reason for one in second.result.completions]
    assert calls == gen.model.calls
    list(first)


def test_rows_that_are_over_hold_no_slots(gen):
    engine = gen.engine()
    long = gen.stream("abc", engine=engine, **{**ROOM, "max_new_tokens": 40})
    next(long)
    list(gen.stream(["abd", "abe", "abf"], engine=engine, **ROOM))

    slots = engine._reader.slots(gen.model)  # noqa: SLF001
    assert 1 == sum(slots._holders)  # noqa: SLF001
    list(long)


@pytest.mark.parametrize("size", [0, -3, True])
def test_an_engine_has_room_for_whole_rows(size, gen):
    with pytest.raises(OptionError, match="batch_size is a whole number of rows"):
        gen.engine(batch_size=size)


def test_an_engine_is_the_generators_own(gen):
    engine = generator().engine()
    with pytest.raises(OptionError, match=r"expected what this generator's engine\(\) returned"):
        gen.generate("abc", engine=engine)


def test_the_engine_says_how_many_rows_run(gen):
    with pytest.raises(OptionError, match="batch_size is the engine's"):
        gen.generate("abc", engine=gen.engine(), batch_size=4)


def test_seconds_are_those_of_the_call_whoever_reads_first(gen):
    engine = gen.engine()
    streams = [gen.stream("abc", engine=engine, **ROOM) for _ in range(2)]
    list(streams[0])

    first, second = (stream.result.usage.seconds for stream in streams)
    assert 0.5 < second / first < 2
    assert 9 == len(streams[1].result.completions[0].tokens)


def test_a_strategy_may_race_rows_of_which_one_is_lost(gen):
    @strategy(rows_independent=True)
    def racing(session):
        """Draw without a sampler."""
        while session.running:
            logits = session.process(session.next_logits())
            yield session.append(session.race(logits, "racing"))

    def emptied(logits, rows):
        lost = torch.tensor([row.prompt.index == 1 and row.grown == 2 for row in rows.records])
        return logits.masked_fill(lost[:, None], -torch.inf)

    with pytest.raises(GenerationError, match="prompt 1, step 2") as caught:
        gen.generate(["ab", "cd"], strategy=racing, processors=[emptied], **ROOM)
    assert ["length", "error"] == [one.finish_reason for one in caught.value.partial.completions]


def test_a_reader_makes_one_cache_of_a_model():
    made = []

    class Counting(TableModel):
        def make_cache(self, slots):
            made.append(slots)
            return super().make_cache(slots)

    model = Counting(END + 1)
    reader = Reader(model)

    assert reader.slots(model) is reader.slots(model)
    assert [0] == made
