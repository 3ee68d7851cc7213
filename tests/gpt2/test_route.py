"""A placed model computes what it computes elsewhere, wherever its parts are kept."""

import copy
import threading

import pytest
import torch

from gpt2sdk.components.placement import Residency
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import OptionError, PlacementError
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.route import Route

CPU = torch.device("cpu")
CONFIG = GPT2Config(
    vocab_size=300,
    n_positions=64,
    n_embd=240,
    n_layer=4,
    n_head=4,
    initializer_range=0.1,
    bos_token_id=0,
    eos_token_id=0,
)
ROWS = [[3, 1, 4, 1, 5], [2, 7], [1, 8, 2, 8]]
TOKENS = torch.tensor([[3, 1, 4, 1, 5]])
BLOCKS = {f"h.{layer}" for layer in range(4)}


class Poisoning(Residency):
    """Hides the weights of parts that are not acquired, and writes down what it was asked."""

    def __init__(self, passing):
        self.passing = set(passing)
        self.calls = []
        self.lock = threading.RLock()
        self.kept = {}
        self.acquired = []

    def device(self, name):
        return CPU

    def permanent(self, name):
        return name not in self.passing

    def stow(self, name, module):
        if name in self.passing:
            tensors = [*module.parameters(), *module.buffers()]
            self.kept[name] = [(tensor, tensor.data) for tensor in tensors]
            self._hide(name)

    def prefetch(self, name):
        self.calls.append(("prefetch", name))

    def acquire(self, name):
        self.lock.acquire()
        self.acquired.append(name)
        self.calls.append(("acquire", name))
        for tensor, data in self.kept.get(name, ()):
            tensor.data = data

    def release(self, name):
        assert name == self.acquired.pop()
        self._hide(name)
        self.lock.release()

    def close(self):
        pass

    def _hide(self, name):
        for tensor, data in self.kept.get(name, ()):
            hidden = torch.nan if data.is_floating_point() else 1
            tensor.data = torch.full((), hidden, dtype=data.dtype).expand(data.shape)


def build(passing=None, *, prepared=False, **changes):
    """Return a model, with those parts coming and going."""
    model = GPT2(CONFIG.model_copy(update=changes)).eval()
    if passing is not None:
        place(model, passing)
    if prepared:
        model.prepare()
    return model


def place(model, passing):
    residency = Poisoning(passing)
    for name in ("wte", "wpe", *sorted(BLOCKS), "ln_f", "lm_head"):
        residency.stow(name, model.get_submodule(name))
    model.set_residency(residency)


def score(model, rows=ROWS, wanted=()):
    return model.score(model.make_cache(len(rows)), rows, [len(row) for row in rows], wanted)


def assert_same(expected, got, tolerance=1e-5):
    spread = float(expected.max() - expected.min())
    assert float((expected - got).abs().max()) <= tolerance * spread


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "passing", [{"h.1"}, BLOCKS, {*BLOCKS, "wte", "wpe", "ln_f", "lm_head"}], ids=len
)
def test_scores_are_those_of_a_model_in_one_place(passing, tied):
    changes = {"tie_word_embeddings": tied}
    expected = score(build(**changes), wanted=[0, 2, 4])
    walked = score(build(passing, **changes), wanted=[0, 2, 4])
    prepared = score(build(passing, prepared=True, **changes), wanted=[0, 2, 4])

    assert torch.equal(expected.logits, walked.logits)
    assert_same(expected.logits, prepared.logits)
    for layer in (0, 2, 4):
        assert torch.equal(expected.hidden_states[layer], walked.hidden_states[layer])
        assert_same(expected.hidden_states[layer], prepared.hidden_states[layer])


def test_without_packed_parts_the_runner_is_bit_equal_to_the_modules():
    passing = {*BLOCKS, "wte", "ln_f"}

    assert torch.equal(score(build(passing)).logits, score(build(passing, prepared=True)).logits)


def test_whole_sequences_are_those_of_a_model_in_one_place():
    expected = build()(TOKENS, TOKENS, hidden_states=True, attentions=True)
    got = build({*BLOCKS, "wte"})(TOKENS, TOKENS, hidden_states=True, attentions=True)

    assert torch.equal(expected.logits, got.logits)
    assert torch.equal(expected.loss, got.loss)
    assert all(map(torch.equal, expected.hidden_states, got.hidden_states))
    assert all(map(torch.equal, expected.attentions, got.attentions))
    assert not got.logits.requires_grad


def test_only_parts_that_stay_are_packed():
    kernels = build({"h.1", "h.2"}, prepared=True).prepare()

    assert "onednn" == kernels["h.0.attn.c_attn"] == kernels["lm_head"]
    assert "torch" == kernels["h.1.attn.c_attn"] == kernels["h.2.mlp.c_proj"]
    assert "torch" == build({"wte"}).prepare()["lm_head"]


@pytest.mark.parametrize("prepared", [False, True])
def test_parts_are_brought_in_turn_and_the_next_one_ahead(prepared):
    model = build({"h.2", "h.3"}, prepared=prepared)
    score(model)
    calls = model.residency.calls

    assert ["wte", "wpe", "h.0", "h.1", "h.2", "h.3", "ln_f", "wte"] == [
        name for call, name in calls if call == "acquire"
    ]
    assert ("prefetch", "h.2") == calls[calls.index(("acquire", "h.1")) + 1]
    assert ("prefetch", "h.3") == calls[calls.index(("acquire", "h.2")) + 1]
    # For the next step.
    assert ("prefetch", "h.2") == calls[calls.index(("acquire", "h.3")) + 1]


def test_a_table_is_brought_ahead_as_the_head_only():
    model = build({"wte", "h.0"}, prepared=True)
    score(model)
    calls = model.residency.calls

    assert ("prefetch", "h.0") == calls[calls.index(("acquire", "wte")) + 1]
    assert ("prefetch", "wte") == calls[calls.index(("acquire", "ln_f")) + 1]
    assert ("prefetch", "h.0") == calls[-1]


@pytest.mark.parametrize("prepared", [False, True])
def test_what_raises_releases(prepared):
    model = build(BLOCKS, prepared=prepared)
    expected = score(model).logits

    def fail(_module, _given, _output):
        raise ZeroDivisionError

    handle = model.h[2].mlp.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        score(model)
    handle.remove()

    assert [] == model.residency.acquired
    assert torch.equal(expected, score(model).logits)


def test_modules_are_looked_into_while_parts_come_and_go():
    expected, model = build(), build(BLOCKS, prepared=True)
    with expected.capture("h.*") as theirs:
        score(expected)
    with model.capture("h.*") as ours:
        score(model)

    assert all(torch.equal(theirs[name][0], ours[name][0]) for name in theirs)


@pytest.mark.parametrize("prepared", [False, True])
def test_caches_fork_and_rewind_as_ever(prepared):
    def decode(model):
        cache = model.make_cache(2)
        model.score(cache, [[3, 1, 4, 1], [2, 7]], [1, 1])
        cache.fork([1, 0, 0])
        cache.rewind([2, 3, 4])
        return model.score(cache, [[5, 6], [9], []], [2, 1, 0]).logits

    assert_same(decode(build()), decode(build({"h.1", "h.3"}, prepared=prepared)))


def test_threads_take_turns():
    model = build(BLOCKS, prepared=True)
    expected = [score(model, [row]).logits for row in ROWS]
    got = [[] for _ in ROWS]

    def work(index):
        for _ in range(5):
            got[index].append(score(model, [ROWS[index]]).logits)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(ROWS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(
        5 == len(logits) and all(torch.equal(expected[index], each) for each in logits)
        for index, logits in enumerate(got)
    )


def test_a_placed_model_is_not_trained_moved_or_copied():
    model = build({"h.1"})

    with pytest.raises(PlacementError, match="cannot be trained"):
        model.train()(TOKENS)
    with pytest.raises(PlacementError, match="cannot be moved or converted"):
        model.double()
    with pytest.raises(PlacementError, match="cannot be copied or pickled"):
        copy.deepcopy(model)


def test_a_model_all_of_whose_parts_stay_in_one_place_is_like_any_other():
    model = build(set(), prepared=True)

    model.unpack()
    assert model(TOKENS, TOKENS).loss.requires_grad
    assert_same(score(model).logits, score(copy.deepcopy(model)).logits)
    assert torch.float64 == model.double().ln_f.weight.dtype
    assert model.residency is None


def test_without_a_residency_it_is_as_before():
    model = build(BLOCKS)
    residency = model.residency
    for name in BLOCKS:
        residency.acquire(name)
    model.set_residency(None)

    assert model.residency is None
    assert torch.equal(score(build()).logits, score(model).logits)


def test_mistakes_are_found_before_a_part_is_brought():
    model = build(BLOCKS)

    with pytest.raises(OptionError):
        score(model, [[300]])
    assert [] == model.residency.calls


class Spread(Poisoning):
    """Says that parts compute on several devices."""

    def __init__(self, devices):
        super().__init__(())
        self.devices = devices

    def device(self, name):
        return torch.device(self.devices.get(name, "cpu"))


def test_logits_come_out_where_the_head_is():
    devices = {"wte": "cuda:1", "h.0": "cuda:0"}
    tied = Route(Spread(devices), 2, tied=True)
    untied = Route(Spread(devices), 2, tied=False)

    assert torch.device("cuda:1") == tied.device(tied.head)
    assert CPU == untied.device(untied.head)
    assert torch.device("cuda:0") == tied.first
    assert tied.settled
    assert not tied.uniform


def test_what_is_computed_moves_to_the_part():
    model = GPT2(CONFIG.model_copy(update={"n_layer": 2})).eval()
    model.h[1].to("meta")
    model.set_residency(Spread({"h.1": "meta"}))

    # Numbers get onto the meta device, and from there nowhere: they are asked for at the head.
    with pytest.raises(NotImplementedError, match="meta"):
        score(model)
    model.set_residency(Spread(dict.fromkeys(("h.1", "ln_f", "wte"), "meta")))
    assert torch.device("meta") == model.device
