"""What is measured of a generator, and what a pass cannot do without."""

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.benchmark.case import TimedCase
from gpt2sdk.benchmark.limits import memory_of, read_seconds
from gpt2sdk.benchmark.machine import describe_machine
from gpt2sdk.benchmark.timing import TimedTurn, Timing, compare
from gpt2sdk.benchmark.turns import Spread
from gpt2sdk.benchmark.work import work_of
from gpt2sdk.testing import Letters, TableModel, save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def generator(folder):
    return Generator.from_pretrained(folder, device="cpu")


def turn(**seconds):
    parts = {"read": 1.0, "read_rate": 1.0, "product": 1.0, "first_pass": 2.0, "later_pass": 2.0}
    return TimedTurn(**{**parts, "greedy": 12.0, "options": None, **seconds})


def test_a_steps_parts_add_up_to_a_calls_step():
    # Five tokens: 2 s for the first, four steps of 2.5 s, one more each with the options.
    measured = Timing("mine", TimedCase(1, 3, 5), [turn(options=16.0)], [turn()])

    assert {"read": 1.0, "pass": 1.0, "loop": 0.5, "options": 1.0} == measured.budget()


def test_shares_and_times_are_of_pairs():
    mine = [turn(read=1.0, later_pass=2.0, greedy=4.0), turn(read=9.0, later_pass=18.0)]
    measured = Timing("mine", TimedCase(2, 3, 6), mine, [turn(greedy=8.0), turn(greedy=24.0)])

    assert Spread(0.5, 0.5, 0.5) == measured.share_of_read
    assert Spread(2.0, 2.0, 2.0) == measured.times
    assert Spread(2.0, 1.5, 2.5) == measured.tokens_per_second


def test_a_case_of_one_token_has_no_steps():
    measured = Timing("mine", TimedCase(1, 3, 1), [turn(first_pass=1.5, product=0.75)], [turn()])

    assert {} == measured.budget()
    assert (None, 0.5, 2.0) == (
        measured.share_of_read,
        measured.share_of_product.median,
        measured.prefill.median,
    )


def test_a_tied_table_is_read_once_as_the_head(generator):
    config = generator.config
    width, layers = config.n_embd, config.n_layer
    blocks = layers * 12 * width * width
    work = work_of(generator)

    assert (blocks, config.vocab_size * width) == (work.products, work.head)
    assert 4 * (blocks + config.vocab_size * width) == work.weights
    assert 4 * 2 * layers * width == work.place


def test_quantized_matrices_count_as_they_are_stored(folder, generator):
    small = Generator.from_pretrained(folder, device="cpu", quantization="int8")
    plain, fewer = work_of(generator), work_of(small)

    # A byte for each number, and scales for each output.
    assert plain.weights / 4 < fewer.weights < plain.weights / 2
    assert (plain.products, plain.head) == (fewer.products, fewer.head)


def test_a_model_that_nobody_loaded_is_refused():
    letters = Letters()
    model = TableModel(len(letters.alphabet), order=1)
    unknown = Generator(model, letters, decoder=letters, eos_token_ids=[])

    with pytest.raises(OptionError, match="which matrices it has is not known"):
        work_of(unknown)


def test_engines_are_compared_at_every_case(generator):
    cases = [TimedCase(1, 3, 4), TimedCase(2, 3, 4), TimedCase(1, 8, 1)]
    engines = {"one": generator, "other": generator}

    found = compare(engines, cases, options={"top_k": 3}, rounds=2, seconds=60.0)

    assert [(name, case) for case in cases for name in engines] == [
        (each.engine, each.case) for each in found
    ]
    for each in found:
        assert 2 == len(each.turns)
        assert all(one.options is not None and one.greedy > 0 for one in each.turns)
    assert {1.0} == {each.times.median for each in found if each.engine == "one"}


def test_one_round_is_run_however_little_time_there_is(generator):
    (measured,) = compare({"one": generator}, [TimedCase(1, 2, 2)], rounds=5, seconds=0.0)

    assert 1 == len(measured.turns)


def test_what_does_not_fit_the_window_is_said_before_anything_runs(generator):
    too_long = TimedCase(1, generator.context_length, 1)

    with pytest.raises(OptionError, match="do not fit the context"):
        compare({"one": generator}, [too_long], rounds=1, seconds=0.0)


def test_prompts_are_the_same_in_every_run():
    case = TimedCase(2, 5, 1)

    assert case.prompts(100) == case.prompts(100)
    assert {5} == {len(prompt) for prompt in case.prompts(100)}


def test_memory_is_as_large_as_what_is_read():
    memory = memory_of(4096)

    assert (4096, torch.float32) == (memory.nbytes, memory.dtype)
    assert read_seconds(memory) > 0


def test_the_machine_is_named_and_missing_packages_are_left_out():
    found = describe_machine(["gpt2sdk", "no-such-package"])

    assert ["gpt2sdk"] == list(found["versions"])
    assert found["processor"]
    assert torch.get_num_threads() == found["threads"]
