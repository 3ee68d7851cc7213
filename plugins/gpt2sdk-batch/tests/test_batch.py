"""Lines in, results out: the same bytes whatever happens on the way."""

import json
import shutil

import pytest

from gpt2sdk import Generator, LogitsProcessor, OptionError, hookimpl
from gpt2sdk_batch import BatchError, merge, processes, run, seed_of
from gpt2sdk_batch.side_file import journal_of, side_file_of

USUAL = {"max_new_tokens": 8, "top_p": 0.9}


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def undisturbed(gen, some_lines, tmp_path_factory):
    """Return the lines of a run that nothing disturbed, with what they came of."""
    folder = tmp_path_factory.mktemp("undisturbed")
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    lines = some_lines(60)
    lines[3] = {"id": "choice", "prompt": "The weather is", "choices": [" good", " bad"]}
    lines[4] = {"id": "beam", "prompt": "Once", "options": {"strategy": "beam", "top_p": None}}
    lines[5] = {"id": "several", "prompt": [5, 6, 7], "options": {"num_return_sequences": 3}}
    lines[6] = {"id": "wrong", "prompt": "Once", "options": {"temprature": 1}}
    lines[7] = {"id": "long", "prompt": "word " * 900}
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(gen, source, target, **USUAL)
    return source, target


def test_a_result_is_that_of_a_call_with_the_lines_seed(gen, undisturbed):
    source, target = undisturbed
    asked, found = lines_of(source), lines_of(target)

    assert [line["id"] for line in asked] == [line["id"] for line in found]
    assert list(range(60)) == [line["index"] for line in found]
    for at in (0, 20, 59):
        alone = gen.generate(asked[at]["prompt"], seed=seed_of(0, asked[at]["id"]), **USUAL)
        assert alone.text == found[at]["text"]
        assert {
            "text": alone.text,
            "tokens": list(alone.completions[0].tokens),
            "finish_reason": alone.completions[0].finish_reason,
        } == found[at]["completions"][0]
        assert alone.usage.prompt_tokens == found[at]["usage"]["prompt_tokens"]
        assert alone.usage.new_tokens == found[at]["usage"]["new_tokens"]


def test_a_result_and_what_is_beside_it_repeat_the_line(gen, undisturbed):
    source, target = undisturbed
    runs = json.loads(side_file_of(target).read_text())["runs"]

    for asked, found in zip(lines_of(source), lines_of(target), strict=True):
        if "completions" not in found:
            continue
        usual = runs[found["run"]]["options"]
        own = found["options"]
        config = own if "strategy" in own else {**usual, **own}
        again = gen.generate(asked["prompt"], config=config)
        assert [each["text"] for each in found["completions"]] == again.texts


def test_a_line_has_options_and_a_strategy_of_its_own(gen, undisturbed):
    beam, several = lines_of(undisturbed[1])[4:6]

    assert gen.generate("Once", strategy="beam", max_new_tokens=8).text == beam["text"]
    assert "beam" == beam["options"]["strategy"]
    assert 3 == len(several["completions"])
    assert 3 == several["usage"]["prompt_tokens"]


def test_a_choice_is_that_of_choose(gen, undisturbed):
    found = lines_of(undisturbed[1])[3]
    decision = gen.choose("The weather is", [" good", " bad"])

    assert (decision.best, list(decision.logprobs)) == (
        found["choice"]["best"],
        found["choice"]["logprobs"],
    )


def test_what_is_wrong_with_a_line_is_its_result(undisturbed):
    wrong, long = lines_of(undisturbed[1])[6:8]

    assert {"id", "index", "error", "run"} == wrong.keys()
    assert "OptionError" == wrong["error"]["type"]
    assert "there is no option temprature: did you mean temperature?" == wrong["error"]["message"]
    assert "ContextOverflowError" == long["error"]["type"]
    assert long["error"]["message"].startswith("the prompt has 902 tokens")


@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_batch_size_changes_nothing(gen, undisturbed, tmp_path, size):
    source, target = undisturbed
    run(gen, source, tmp_path / "out.jsonl", batch_size=size, **USUAL)

    assert target.read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_the_seed_changes_every_line(gen, undisturbed, tmp_path):
    source, target = undisturbed
    run(gen, source, tmp_path / "out.jsonl", seed=1, **USUAL)
    drawn = [n for n in range(60) if n not in (3, 4, 6, 7)]
    before, after = lines_of(target), lines_of(tmp_path / "out.jsonl")

    assert all(before[n]["text"] != after[n]["text"] for n in drawn)


class Stop:
    """Says that a run is to end once it was asked so often."""

    def __init__(self, after):
        self.left = after

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_a_run_that_is_stopped_again_and_again_makes_the_same(gen, undisturbed, tmp_path):
    source, target = undisturbed
    path, done, runs = tmp_path / "out.jsonl", [], 0
    while True:
        made = run(gen, source, path, stopped=Stop(15), batch_size=8, **USUAL)
        done.append(made.done)
        runs += 1
        if made.complete:
            break
        assert not path.exists()
        assert journal_of(path).exists()

    assert runs > 3
    assert sorted(set(done)) == sorted(done)[: len(set(done))]
    assert target.read_bytes() == path.read_bytes()
    assert not journal_of(path).exists()


def test_a_run_that_is_done_is_not_done_again(gen, undisturbed):
    source, target = undisturbed
    before = target.stat().st_mtime_ns
    made = run(gen, source, target, **USUAL)

    assert (60, 2, 0, True) == (made.done, made.errors, made.tokens, made.complete)
    assert before == target.stat().st_mtime_ns


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"top_p": 0.8}, "top_p was 0.9 and is 0.8"),
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"top_k": 5}, "top_k was None and is 5"),
        ({"shard": "0/2"}, "the shard was 0/1 and is 0/2"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_what_was_made_otherwise_is_refused(gen, undisturbed, tmp_path, changed, said, finished):
    source, target = undisturbed
    path = tmp_path / "out.jsonl"
    if finished:
        shutil.copy(target, path)
        shutil.copy(side_file_of(target), side_file_of(path))
    else:
        run(gen, source, path, stopped=Stop(12), batch_size=8, **USUAL)

    with pytest.raises(OptionError, match=said):
        run(gen, source, path, **{**USUAL, **changed})


def test_a_changed_input_is_refused(gen, some_lines, write, tmp_path):
    source = write(some_lines(30))
    run(gen, source, tmp_path / "out.jsonl", stopped=Stop(12), batch_size=4, **USUAL)
    write([*some_lines(30), {"id": "more", "prompt": "A"}])

    with pytest.raises(OptionError, match=r"the input has changed since \(30 lines then, 31 now\)"):
        run(gen, source, tmp_path / "out.jsonl", **USUAL)


def test_another_model_is_refused(gen, some_lines, write, tmp_path):
    source, path = write(some_lines(20)), tmp_path / "out.jsonl"
    run(gen, source, path, stopped=Stop(10), batch_size=4, **USUAL)
    other = Generator.from_pretrained("storyteller", quantization="int8")

    with pytest.raises(OptionError, match=r"the model's fingerprint was .* quantization was None"):
        run(other, source, path, **USUAL)


def test_overwriting_begins_anew(gen, undisturbed, tmp_path):
    source, target = undisturbed
    path = tmp_path / "out.jsonl"
    path.write_text("mine\n")
    with pytest.raises(OptionError, match="nothing beside it says how it was made"):
        run(gen, source, path, **USUAL)
    run(gen, source, path, stopped=Stop(12), batch_size=8, overwrite=True, max_new_tokens=2)
    assert "mine\n" == path.read_text()
    run(gen, source, path, overwrite=True, **USUAL)

    assert target.read_bytes() == path.read_bytes()


def test_a_death_between_output_and_journal_is_put_right(gen, undisturbed, tmp_path, monkeypatch):
    source, target = undisturbed
    path = tmp_path / "out.jsonl"
    kept = tmp_path / "kept"

    def last(event):
        if event.event == "progress":
            shutil.copy(journal_of(path), kept)

    run(gen, source, path, watch=last, **USUAL)
    if not kept.exists():
        run(gen, source, path, overwrite=True, stopped=Stop(12), batch_size=8, **USUAL)
        shutil.move(journal_of(path), kept)
        shutil.copy(target, path)
    shutil.move(kept, journal_of(path))
    run(gen, source, path, **USUAL)

    assert target.read_bytes() == path.read_bytes()
    assert not journal_of(path).exists()


@pytest.mark.parametrize("count", [1, 3, 7])
def test_merged_shards_are_the_whole(gen, undisturbed, tmp_path, count):
    source, target = undisturbed
    paths = [tmp_path / f"shard-{number}.jsonl" for number in range(count)]
    for number, path in enumerate(paths):
        run(gen, source, path, shard=(number, count), **USUAL)
    merged = tmp_path / "merged.jsonl"

    assert 60 == merge(merged, paths[::-1])
    assert target.read_bytes() == merged.read_bytes()
    assert side_file_of(target).read_bytes() == side_file_of(merged).read_bytes()


def test_what_does_not_fit_together_is_not_merged(gen, undisturbed, tmp_path):
    source, _ = undisturbed
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    run(gen, source, paths[0], shard="0/3", **USUAL)
    run(gen, source, paths[1], shard="1/3", **USUAL)
    run(gen, source, paths[2], shard="2/3", stopped=Stop(3), batch_size=4, **USUAL)
    merged = tmp_path / "merged.jsonl"

    for given, said in (
        (paths[:2], "shard 2/3 is missing"),
        ([paths[0], *paths[:2]], "are both shard 0/3"),
        (paths, r"2.jsonl is not finished, 2.jsonl.journal is beside it"),
        ([], "there is no shard"),
    ):
        with pytest.raises(OptionError, match=said):
            merge(merged, given)
    run(gen, source, paths[2], shard="2/3", **USUAL)
    run(gen, source, paths[2], shard="2/3", overwrite=True, seed=2, stopped=Stop(3), batch_size=4)
    with pytest.raises(OptionError, match=r"2.jsonl is not finished"):
        merge(merged, paths)
    run(gen, source, paths[2], shard="2/3", overwrite=True, max_new_tokens=8)
    with pytest.raises(OptionError, match=r"are of different runs: top_p was 0.9 and is None"):
        merge(merged, paths)
    run(gen, source, paths[2], shard="2/3", overwrite=True, **USUAL)
    text = paths[1].read_text().splitlines(keepends=True)
    paths[1].write_text("".join(text[:4] + text[5:]))
    with pytest.raises(OptionError, match=r"1.jsonl has line 16 where line 13 is expected"):
        merge(merged, paths)
    paths[1].write_text("".join(text[:-1]))
    with pytest.raises(OptionError, match=r"1.jsonl ends where line 58 is expected"):
        merge(merged, paths)
    assert not merged.exists()


class Fuse(LogitsProcessor):
    """Raises behind so many tokens."""

    fuse: int = 0

    def process(self, logits, rows):
        if ((rows.lengths - rows.prompt_lengths) >= self.fuse).any():
            raise RuntimeError("it blew")
        return logits


class Fuses:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return [Fuse]


def test_a_component_that_raises_spoils_its_own_line_alone(write, tmp_path, undisturbed):
    lines = lines_of(undisturbed[0])
    lines[9] = {"id": "broken", "prompt": "Once", "options": {"fuse": 3}}
    own = Generator.from_pretrained("storyteller", plugins=[Fuses()])
    run(own, write(lines), tmp_path / "out.jsonl", **USUAL)
    before, after = lines_of(undisturbed[1]), lines_of(tmp_path / "out.jsonl")

    assert "GenerationError" == after[9]["error"]["type"]
    assert "it blew" in after[9]["error"]["message"]
    assert [line["text"] for n, line in enumerate(before) if n not in (6, 7, 9)] == [
        line["text"] for n, line in enumerate(after) if n not in (6, 7, 9)
    ]


@pytest.mark.slow
def test_processes_that_are_killed_make_the_same(undisturbed, tmp_path):
    source, target = undisturbed
    path = tmp_path / "out.jsonl"
    killed = []

    def engage(settings):
        crew = processes("storyteller", 2)(settings)
        told = crew.run

        def run_and_kill(tasks, stopped):
            for answers in told(tasks, stopped):
                yield answers
                if len(killed) < 2:
                    mate = crew._mates[len(killed)]  # noqa: SLF001 - to kill one
                    mate.process.kill()
                    killed.append(mate.process.pid)

        crew.run = run_and_kill
        return crew

    made = run(engage, source, path, batch_size=4, **USUAL)

    assert (2, 60) == (len(killed), made.done)
    assert target.read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_said(undisturbed, tmp_path):
    with pytest.raises(BatchError, match="there is no option top_q"):
        run(processes("storyteller", 2), undisturbed[0], tmp_path / "out.jsonl", top_q=1)
