"""What a call holds of the machine's memory ends with it, whoever keeps what of it."""

import gc
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass

import pytest

from gpt2sdk import GenerationError, Generator, LogitsProcessor, Session, hookimpl, sample, strategy
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import tiny_gpt2, tiny_tokenizer

PROMPTS = ["Once upon", "a time", "a"]


class Watched:
    """A model that remembers, weakly, its caches and the memory they took."""

    def __init__(self):
        self._model = tiny_gpt2()
        self.caches = []
        self.buffers = []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def make_cache(self, slots):
        cache = self._model.make_cache(slots)
        self.caches.append(weakref.ref(cache))
        return cache

    def score(self, cache, tokens, keep, hidden_states=()):
        scores = self._model.score(cache, tokens, keep, hidden_states)
        views = [cache.read(at, 0, 1, 1) for at in range(self.layers)]
        # The buffers themselves, of which views come and go.
        self.buffers += [weakref.ref(view._base) for view in views]  # noqa: SLF001 - torch's only way
        self.buffers.append(weakref.ref(scores.logits))
        return scores

    @property
    def held(self):
        """How many of its caches and tensors are still there."""
        return sum(each() is not None for each in self.caches + self.buffers)

    @property
    def held_buffers(self):
        """How much of the caches' memory is still there."""
        return sum(each() is not None for each in self.buffers)


class Clinging(LogitsProcessor):
    """Its run holds the session, and a function of the session's memory does."""

    cling: float = 0.0

    def start(self, session):
        column = session.per_row(lambda prompt: 0, lambda old, token, _: old + len(session.rows))
        return ClingingRun(session, column)


@dataclass
class ClingingRun:
    session: Session
    column: object

    def process(self, logits, rows):
        return logits


class Failing(LogitsProcessor):
    """Raises at a row's fourth token."""

    fail: float = 0.0

    def process(self, logits, rows):
        if bool((rows.lengths - rows.prompt_lengths == 3).any()):
            message = "enough"
            raise RuntimeError(message)
        return logits


class Plugin:
    @hookimpl
    def gpt2sdk_components(self):
        return (Clinging, Failing)


@pytest.fixture
def model():
    """Return a watched model while Python collects no cycles."""
    made = Watched()
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


@pytest.fixture
def gen(model):
    return Generator(model, tiny_tokenizer(), registry=Registry([Plugin()]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"logprobs": 0, "stop": ["x"]},
        {"logprobs": 3},
        {"strategy": "beam"},
        {"strategy": "beam", "batch_size": 1},
        {"drafter": "prompt_lookup", "batch_size": 2},
        {"guidance_scale": 2.0, "negative_prompt": "time"},
        {"sampler": "mirostat"},
        {"banned_phrases": ["e"], "strategy": "backtrack"},
        {"cling": 1.0},
    ],
)
def test_a_call_that_ended_holds_nothing(gen, model, options):
    gen.generate(PROMPTS, max_new_tokens=8, seed=1, **options)

    assert (model.held, bool(model.buffers)) == (0, True)


def test_a_stream_that_ended_holds_nothing_while_it_is_kept(gen, model):
    stream = gen.stream(PROMPTS, max_new_tokens=8, seed=1, stop=["x"])
    deltas = list(stream)

    assert (model.held, bool(deltas), len(stream.result.completions)) == (0, True, 3)


@pytest.mark.parametrize("read", [0, 1, 4])
@pytest.mark.parametrize("options", [{}, {"cling": 1.0, "stop": ["x"]}])
def test_a_stream_that_is_dropped_holds_nothing(gen, model, read, options):
    stream = gen.stream(PROMPTS, max_new_tokens=30, seed=1, eos_token_id=None, **options)
    for _ in range(read):
        next(stream)
    del stream

    assert model.held_buffers == 0


def test_a_call_that_was_cancelled_holds_nothing(gen, model):
    cancel = threading.Event()

    @strategy(rows_independent=True)
    def cancelling(session):
        for step in sample(session):
            cancel.set()
            yield step

    result = gen.generate(PROMPTS, strategy=cancelling, cancel=cancel, seed=1)

    assert (model.held, result.completions[0].finish_reason) == (0, "cancelled")


@pytest.mark.parametrize("options", [{}, {"strategy": "beam"}, {"cling": 1.0, "stop": ["x"]}])
def test_an_error_that_is_kept_holds_no_cache(gen, model, options):
    with pytest.raises(GenerationError) as caught:
        gen.generate(PROMPTS, fail=1.0, max_new_tokens=8, seed=1, eos_token_id=None, **options)
    caches = [cache for each in model.caches if (cache := each()) is not None]

    assert caught.value.__traceback__ is not None
    assert sum(cache.nbytes for cache in caches) == 0


def test_an_error_inside_the_model_holds_nothing_the_model_was_at_work_on(gen, model):
    def overflow(module, args):
        inside.append(weakref.ref(args[0]))
        message = "no memory left"
        raise MemoryError(message)

    inside = []
    hook = model.h[-1].register_forward_pre_hook(overflow)
    with pytest.raises(GenerationError, match="no memory left") as caught:
        gen.generate(PROMPTS, max_new_tokens=8, seed=1)
    hook.remove()
    caches = [cache for each in model.caches if (cache := each()) is not None]

    assert caught.value.__traceback__ is not None
    assert sum(cache.nbytes for cache in caches) == 0


def test_a_session_that_is_kept_holds_nothing_and_says_that_it_is_over(gen, model):
    kept = []

    @strategy(rows_independent=True)
    def keeping(session):
        kept.append(session)
        yield from sample(session)

    gen.generate(PROMPTS, strategy=keeping, max_new_tokens=8, seed=1)

    assert model.held_buffers == 0
    with pytest.raises(Exception, match="the session is over"):
        kept[0].next_logits()


FIFTY_CALLS = """
import gc, torch
torch.set_num_threads(1)
gc.disable()
from gpt2sdk import Generator, GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import Letters

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line[:5] == "VmRSS")

letters = Letters()
config = GPT2Config(vocab_size=256, n_positions=256, n_embd=256, n_layer=2, n_head=4)
gen = Generator(GPT2(config, seed=0), letters, decoder=letters, eos_token_ids=[])
call = lambda: gen.generate([[1] * 200] * 8, max_new_tokens=2, seed=1)
for _ in range(5):
    call()
before = held()
for _ in range(50):
    call()
print(held() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fifty_calls_hold_no_more_memory_than_five():
    # A call's keys and values take 8 * 256 * 2 * 256 * 2 layers * 4 bytes = 8 MiB.
    printed = subprocess.run(
        [sys.executable, "-c", FIFTY_CALLS], capture_output=True, text=True, check=True
    ).stdout

    assert int(printed) < 24 * 1024
