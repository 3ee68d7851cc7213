"""What `benchmarks/bench_decode.py` makes of what its engines say, without any of them."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def bench(request):
    """Return the scripts' modules, which stand in no package."""
    folder = str(Path(request.config.rootpath) / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import bench_decode
        import decode_cases
        import decode_workers

        yield bench_decode, decode_cases, decode_workers
    finally:
        sys.path.remove(folder)


def turn(seconds, first, read=0.5, tokens=((1, 2, 3),)):
    tokens = [list(row) for row in tokens]
    return {"seconds": seconds, "first": first, "read": read, "read_bytes": 8, "tokens": tokens}


def test_ratios_steps_and_shares_are_of_pairs_of_one_round(bench):
    script, cases, workers = bench
    case = cases.even("rows-1", 1, 4, 3)
    spec = workers.Spec("gpt2sdk", "float32", "native")
    # Two steps behind the first token: 1 s and 10 s each.
    mine = [turn(3.0, 1.0), turn(30.0, 10.0, read=5.0)]
    theirs = [turn(6.0, 1.0), turn(60.0, 9.0)]

    row = script.summary(spec, case, mine, theirs)

    assert {"median": 2.0, "low": 2.0, "high": 2.0} == row["times_transformers_float32"]
    assert {"median": 0.5, "low": 0.5, "high": 0.5} == row["share_of_read"]
    assert (1.0, 5.5) == (row["equal_tokens"], row["step_seconds"]["median"])


def test_rounds_that_an_engine_did_not_end_are_left_out_of_pairs(bench):
    script, cases, workers = bench
    case, spec = cases.even("rows-1", 1, 4, 3), workers.Spec("llama.cpp", "Q8_0")

    row = script.summary(spec, case, [turn(2.0, 1.0), None], [turn(6.0, 1.0), turn(9.0, 1.0)])

    assert (1, 3.0) == (row["rounds"], row["times_transformers_float32"]["median"])
    assert {} == script.summary(spec, case, [None, None], [turn(6.0, 1.0)] * 2)


def test_other_tokens_in_float32_are_a_failure(bench):
    script, cases, workers = bench
    case, spec = cases.even("rows-1", 1, 4, 3), workers.Spec("gpt2sdk", "float32", "native")
    other = [turn(2.0, 1.0, tokens=((1, 2, 4),))]

    row = script.summary(spec, case, other, [turn(2.0, 1.0)])

    assert 0.0 == row["equal_tokens"]
    assert (1, 0) == (script.verdict([row], "cpu"), script.verdict([row], "cuda"))
    assert 0 == script.verdict([{**row, "weights": "int8"}], "cpu")


def test_a_step_reads_weights_once_and_each_rows_keys_and_values(bench):
    script, cases, _ = bench
    sizes = {"n_layer": 2, "n_embd": 4, "vocab_size": 10}
    case = cases.even("rows-3", 3, 4, 2)

    # 12 * 2 * 16 + 10 * 4 weights in a byte each; 3 rows of 5 with 2 * 2 * 4 numbers in 2 bytes.
    found = script.read_bytes({"weight_bits": 8.0, "cached_bytes": 2}, sizes, case)

    assert 424 + 3 * 5 * 16 * 2 == found


def test_engines_that_do_not_fit_go_into_groups_with_the_reference(bench):
    script, _, workers = bench
    specs = workers.all_specs(["native"])[:5]
    sizes = {"n_layer": 48, "n_embd": 1600, "vocab_size": 50257}

    groups = script.grouped(specs, sizes, room=20e9)

    assert all(specs[0] == group[0] and len(group) > 1 for group in groups)
    assert set(specs) == {spec for group in groups for spec in group}
    assert len(groups) > 1
    assert [specs] == script.grouped(specs, sizes, room=1e12)


def test_ragged_lists_have_the_lengths_that_are_stated(bench):
    _, cases, _ = bench
    case = cases.ragged()

    assert (64, 64, 0) == (len(case.prompts), len(case.new), case.steps)
    assert 16 <= min(case.prompts) <= max(case.prompts) <= 256
    assert 16 <= min(case.new) <= max(case.new) <= 128


def test_an_engine_that_is_missing_says_so(bench, tmp_path):
    _, _, workers = bench

    with pytest.raises(workers.WorkerError, match="ModuleNotFoundError"):
        workers.Worker(
            workers.Spec("nobody", "F32"), sys.executable, tmp_path, threads=1, device="cpu"
        )
