"""Calls on one engine are strangers: in how long they wait, what they fail of, what they keep."""

import gc
import threading

import pytest
import torch

from gpt2sdk import (
    Drafter,
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    TextCriterion,
    strategy,
)
from gpt2sdk.session.request import Request
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

ALPHABET = "abcdefghij."
END = len(ALPHABET)
LONG = {"max_new_tokens": 100, "eos_token_id": None}


def make_generator(**options):
    letters = Letters(ALPHABET)
    model = TableModel(END + 1, **{"order": 3, **options})
    return Generator(model, letters, decoder=letters, eos_token_ids=[END])


class Stranger(LogitsProcessor):
    """Reads a mirror with another prompt or model."""

    model: object = None
    prompt: tuple[int, ...] = (0,)

    def start(self, session):
        mirror = session.mirror(lambda prompt: self.prompt, self.model)
        return Watching(mirror.next_logits)


class Historian(LogitsProcessor):
    """Reads hidden states of whole rows."""

    def start(self, session):
        history = session.hidden_history(1)
        return Watching(lambda rows: history[rows])


class Reader(LogitsProcessor):
    """Asks for the rows' texts as it starts."""

    def start(self, session):
        session.texts()
        return self

    def process(self, logits, rows):
        return logits


class Watching:
    """Looks at something, and changes nothing."""

    def __init__(self, look):
        self.look = look

    def process(self, logits, rows):
        self.look(rows)
        return logits


class Foreign(Drafter):
    """Proposes a token that the model has not."""

    def propose(self, rows, k):
        return torch.full((len(rows), k), 999)


class Bang(TextCriterion):
    """Raises."""

    reason = "bang"

    def find(self, written):
        raise ZeroDivisionError("x")


@strategy(rows_independent=True)
def deaf(session):
    """Ask for no logits."""
    while session.running:
        yield session.append([1] * len(session.rows))


@strategy(hold=2, rows_independent=True)
def held(session):
    """Sample, and be free to take two tokens back."""
    while session.running:
        yield session.append(session.choose(session.process(session.next_logits())))


def steps_until(over, engine, most=300):
    """Run an engine until a stream is over, and return how many steps that took."""
    for step in range(most):
        if over():
            return step
        engine.step()
    return most


@pytest.mark.parametrize("strategy", ["sample", "beam"])
def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing_to_do(strategy):
    gen = make_generator()
    engine = gen.engine(batch_size=4)
    stream = gen.stream("ab", engine=engine, strategy=strategy, max_new_tokens=5)
    stream.cancel()
    assert ["cancelled"] == [each.completion.finish_reason for each in stream]
    assert not engine.step()


def test_what_a_drafter_proposes_beyond_the_vocabulary_is_dropped():
    gen = Generator(tiny_gpt2(), tiny_tokenizer(), eos_token_ids=[])
    alone = gen.generate([[3, 1, 4]], seed=3, max_new_tokens=20)

    assert (
        alone.texts == gen.generate([[3, 1, 4]], seed=3, max_new_tokens=20, drafter=Foreign()).texts
    )


def test_a_mirror_with_a_token_that_its_model_has_not_is_refused_before_work():
    gen = Generator(tiny_gpt2(), tiny_tokenizer(), eos_token_ids=[])
    with pytest.raises(OptionError, match="the mirrored prompt of prompt 0 has token 999"):
        gen.generate([[3, 1, 4]], processors=[Stranger(prompt=(999,))], max_new_tokens=3)


def test_a_model_that_raises_for_one_session_is_read_for_the_others_alone():
    class Picky(TableModel):
        """Raises where it is fed a certain token."""

        def score(self, cache, tokens, keep, hidden_states=()):
            if any(7 in fed for fed in tokens):
                raise ZeroDivisionError("no sevens")
            return super().score(cache, tokens, keep, hidden_states)

    @strategy(rows_independent=True)
    def sevens(session):
        """Ask for logits, and write sevens whatever they are."""
        while session.running:
            session.next_logits()
            yield session.append([7] * len(session.rows))

    letters = Letters(ALPHABET)
    gen = Generator(Picky(END + 1, bias={7: -99.0}), letters, decoder=letters, eos_token_ids=[END])
    engine = gen.engine()
    good = gen.stream("ab", engine=engine, strategy="greedy", max_new_tokens=9, eos_token_id=None)
    bad = gen.stream("ab", engine=engine, strategy=sevens, max_new_tokens=9)
    list(good)
    with pytest.raises(GenerationError, match="no sevens"):
        list(bad)

    assert ["length"] == [each.finish_reason for each in good.result.completions]


def test_texts_asked_for_by_one_component_are_the_sessions():
    gen = make_generator()
    expected = gen.generate("cd", seed=2, max_new_tokens=17, eos_token_id=None, stop=["zz"])
    engine = gen.engine()
    first = gen.stream("ab", engine=engine, seed=1, max_new_tokens=3, processors=[Reader()])
    stream = gen.stream(
        "cd", engine=engine, seed=2, stop=["zz"], max_new_tokens=17, eos_token_id=None
    )

    assert expected.text == "".join(delta.text for delta in stream)
    assert first._call.over  # noqa: SLF001


def test_sessions_take_no_more_room_between_two_steps_than_there_is():
    gen = make_generator()
    engine = gen.engine(batch_size=2)
    kept = []
    for seed, length, name in (
        *[(seed, 3, "sample") for seed in range(2)],
        *[(seed, 9, "greedy") for seed in range(2)],
        *[(seed, 9, "sample") for seed in range(2)],
    ):
        options = {"strategy": name, "max_new_tokens": length, "eos_token_id": None}
        kept.append(gen.stream("ab", engine=engine, seed=seed, **options))
        if len(kept) == 2:
            engine.step()
    most = 0
    while engine.step():
        most = max(most, sum(each.course.live for each in engine._members))  # noqa: SLF001

    assert 2 == most


def test_rows_that_were_handed_over_take_no_room():
    gen = make_generator()
    engine = gen.engine(batch_size=2)
    first = gen.stream("ab", engine=engine, strategy=held, max_new_tokens=3, eos_token_id=None)
    second = gen.stream("ab", engine=engine, strategy=held, **LONG)
    steps_until(lambda: first._call.over, engine)  # noqa: SLF001
    late = gen.stream("ab", engine=engine, strategy="greedy", max_new_tokens=3, eos_token_id=None)

    assert steps_until(lambda: late._call.over, engine) <= 6  # noqa: SLF001
    assert not second._call.over  # noqa: SLF001


def test_a_strategy_that_asks_for_no_logits_holds_nobody_up():
    gen = make_generator()
    engine = gen.engine()
    without = gen.stream("ab", engine=engine, strategy=deaf, **LONG)
    other = gen.stream("cd", engine=engine, strategy="greedy", max_new_tokens=9, eos_token_id=None)

    assert steps_until(lambda: other._call.over, engine) <= 11  # noqa: SLF001
    assert not without._call.over  # noqa: SLF001


def test_results_may_be_looked_at_while_another_thread_runs_the_engine():
    gen = make_generator()
    engine = gen.engine(batch_size=16)
    streams = [gen.stream("ab", engine=engine, seed=seed, **LONG) for seed in range(16)]

    def run():
        while engine.step():
            pass

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        for stream in streams:
            assert len(stream.result.completions) <= 1
    thread.join()

    assert all(len(stream.result.completions) == 1 for stream in streams)


def test_a_text_criterion_that_raises_is_named():
    with pytest.raises(GenerationError, match="bang raised ZeroDivisionError") as caught:
        make_generator().generate("ab", stopping=[Bang()], max_new_tokens=3)

    assert "bang" == caught.value.component


def test_nothing_of_a_finished_request_stays_while_an_engine_is_busy():
    gen = make_generator()
    engine = gen.engine(batch_size=4)
    busy = gen.stream("ab", engine=engine, seed=1, max_new_tokens=240, eos_token_id=None)
    engine.step()
    held = []
    for number in range(60):
        processors = [Stranger(model=TableModel(END + 1, seed=number)), Historian()]
        options = {"seed": number, "max_new_tokens": 2, "logprobs": 0, "temperature": 0.7}
        list(gen.stream("cd", engine=engine, processors=processors, stop=["zz"], **options))
        cancelled = gen.stream("cd", engine=engine, strategy="beam", max_new_tokens=2)
        cancelled.cancel()
        list(cancelled)
        del processors, cancelled
        engine.step()
        gc.collect()
        requests = sum(type(each) is Request for each in gc.get_objects())
        models = len(engine._reader._slots)  # noqa: SLF001
        session = engine._members[0].course  # noqa: SLF001
        held.append((requests, models, list(session.main.layers), len(engine._members)))  # noqa: SLF001

    assert held[5] == held[-1]
    assert held[-1][1:] == (1, [], 1)
    assert not busy._call.over  # noqa: SLF001
