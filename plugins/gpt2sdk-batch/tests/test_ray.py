"""Actors of Ray: the same bytes, also when some are killed."""

import json

import pytest

from gpt2sdk import Generator
from gpt2sdk_batch import BatchError, GenerateBatch, generate_table, ray_actors, run

# Ray warns of what it does itself.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

USUAL = {"max_new_tokens": 6, "top_p": 0.9}


@pytest.fixture(scope="module")
def ray():
    """Return Ray with a small cluster on this machine."""
    ray = pytest.importorskip("ray", reason="needs ray: gpt2sdk-batch[ray]")
    ray.init(
        num_cpus=2,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    yield ray
    ray.shutdown()


def test_actors_that_are_killed_make_the_same(gen, ray, write, tmp_path, some_lines):
    lines = some_lines(160)
    lines[7] = {"id": "wrong", "prompt": "word " * 900}
    source = write(lines)
    run(gen, source, tmp_path / "whole.jsonl", **USUAL)
    killed = []

    def engage(settings):
        crew = ray_actors("storyteller", 4, num_cpus=0.5)(settings)
        told = crew.run

        def run_and_kill(tasks, stopped):
            for answers in told(tasks, stopped):
                yield answers
                if len(killed) < 2:
                    actor = crew._mates[len(killed)].actor  # noqa: SLF001 - to kill one
                    ray.kill(actor)
                    killed.append(actor)

        crew.run = run_and_kill
        return crew

    made = run(engage, source, tmp_path / "out.jsonl", batch_size=8, **USUAL)

    assert (2, 160, 1) == (len(killed), made.done, made.errors)
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_what_is_wrong_in_an_actor_is_said(ray, write, tmp_path, some_lines):
    with pytest.raises(BatchError, match="there is no option top_q"):
        run(ray_actors("storyteller", 1), write(some_lines(3)), tmp_path / "out.jsonl", top_q=1)


@pytest.mark.parametrize("killed", [False, True])
def test_actors_that_compute_otherwise_do_no_line(ray, write, tmp_path, some_lines, killed):
    def load():
        try:
            (tmp_path / "first").mkdir()
        except FileExistsError:
            return Generator.from_pretrained("storyteller", runner="torch")
        return Generator.from_pretrained("storyteller", runner="native")

    def engage(settings):
        crew = ray_actors(load, 1 if killed else 2, num_cpus=0.5)(settings)
        if killed:
            ray.kill(crew._mates[0].actor)  # noqa: SLF001 - another takes its place
        ray.wait([mate.facts for mate in crew._mates], num_returns=len(crew._mates))  # noqa: SLF001
        return crew

    with pytest.raises(BatchError, match="actors of one run disagree: runner was"):
        run(engage, write(some_lines(400)), tmp_path / "out.jsonl", max_new_tokens=20)
    ran = {line.rpartition(b'"run":')[2] for line in _results(tmp_path / "out.jsonl.journal")}
    assert len(ran) <= 1


def _results(journal):
    return [line for line in journal.read_bytes().splitlines() if b'"index":' in line]


def test_rows_of_a_dataset_are_those_of_a_table(gen, ray, some_lines):
    rows = [{**line, "n": at} for at, line in enumerate(some_lines(40))]
    rows[5]["prompt"] = None
    expected = generate_table(gen, rows, **USUAL)
    found = (
        ray.data.from_items(rows)
        .map_batches(
            GenerateBatch,
            fn_constructor_kwargs={"load": "storyteller", **USUAL},
            batch_format="pyarrow",
            batch_size=16,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0.5,
        )
        .take_all()
    )
    ordered = sorted(found, key=lambda row: row["n"])

    assert [row.get("text") for row in expected] == [row["text"] for row in ordered]
    assert [row.get("own_options") for row in expected] == [
        row["own_options"] and json.loads(row["own_options"]) for row in ordered
    ]
    assert ordered[5]["error"]["message"].startswith("line 6 has no prompt")
