"""A batch: lines in, results out in their order, written as they come and resumed after death."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from gpt2sdk import CallRecord, Generator, OptionError
from gpt2sdk_batch.answers import LineAnswer
from gpt2sdk_batch.errors import DISK_TROUBLE, BatchError
from gpt2sdk_batch.journal import Journal
from gpt2sdk_batch.outputs import sync_folder, write_json, write_results
from gpt2sdk_batch.progress import BatchMeter, BatchProgress, Watch
from gpt2sdk_batch.run_settings import RunSettings, disagreements, name_of, read_settings
from gpt2sdk_batch.shards import LineShard, read_shard
from gpt2sdk_batch.side_file import journal_of, read_side_file, side_file_of
from gpt2sdk_batch.sources import LineSource, open_source, suffix_of
from gpt2sdk_batch.survey import Survey, read_tasks, survey
from gpt2sdk_batch.tasks import LineTask
from gpt2sdk_batch.worker import Worker

FORMAT = 1


class Crew(Protocol):
    """What does lines: a worker here, or many elsewhere."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What results depend on besides the lines."""

    def run(
        self, tasks: Iterator[LineTask | None], stopped: Callable[[], bool]
    ) -> Iterator[list[LineAnswer]]:
        """Do lines, and yield results as they are finished."""


Engage = Callable[[RunSettings], Crew]
"""Makes a crew; one that has `close` is closed at the end."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of a run.

    Attributes:
        target: Where results are, once all are there.
        lines: How many lines it has, those of its shard.
        done: How many are done.
        errors: How many of these are errors.
        tokens: How many tokens this run wrote.
        seconds: How long it took.
        complete: Whether the output is whole.
    """

    target: Path
    lines: int
    done: int
    errors: int
    tokens: int = 0
    seconds: float = 0.0
    complete: bool = True


def _never() -> bool:
    return False


def run(  # noqa: PLR0913 - what is done, where to, and how
    model: Generator | Engage,
    source: object,
    target: str | Path,
    *,
    config: CallRecord | Mapping[str, object] | None = None,
    chat_template: str | None = None,
    shard: str | tuple[int, int] | LineShard | None = None,
    ignore: Collection[str] = (),
    overwrite: bool = False,
    watch: Watch = lambda event: None,
    stopped: Callable[[], bool] = _never,
    **options: object,
) -> BatchSummary:
    """Do all lines of a batch, or those that an earlier run of the same left.

    Each result is appended to a journal beside the output as soon as it is there; once all are, the
    output is made of them in the order of the lines. Whatever ends a run, the same call goes on.

    Args:
        model: What generates; or what makes a crew of others: `processes(…)`, `ray_actors(…)`.
        source: A path that ends with .jsonl, .jsonl.gz or .parquet; a pandas `DataFrame`, a
            `datasets.Dataset`, a `pyarrow.Table`, or a list of dictionaries.
        target: A path with such an end.
        config: A preset, or the record of a call.
        chat_template: What writes chats; the model's own by default.
        shard: Which lines: `"i/n"` for every n-th from the i-th on, counted from 0.
        ignore: Fields of lines that are passed over; "*" for all that lines have not.
        overwrite: Whether to begin anew, whatever is there.
        watch: Told how far it is.
        stopped: Asked now and then whether to end early.
        options: Options of all lines, as for `Generator.generate`; `seed`, which the lines' seeds
            are made of, is 0 by default, and `batch_size`, the rows at a time, 32.

    Raises:
        OptionError: An option, a line or an id is wrong, another run is at work, or what is there
            was made otherwise; nothing has run then.
        BatchError: The disk is full, workers die, or the source was changed meanwhile.
    """
    path = Path(target)
    lines = open_source(source)
    stamp = lines.stamp()
    part = read_shard(shard)
    settings = read_settings(options, config, chat_template)
    found = survey(lines, ignore)
    _check_target(path, source, found)
    crew: Crew = Worker(model, settings) if isinstance(model, Generator) else model(settings)
    with closing(_Closable(crew)):
        head = {
            "gpt2sdk_batch": FORMAT,
            "input": {"name": lines.name, "lines": found.lines, "digest": found.digest},
            "shard": [part.number, part.count],
            "facts": dict(crew.facts),
        }
        if (finished := _finished(path, head, overwrite=overwrite)) is not None:
            watch(BatchProgress("finished", finished.lines, finished.done, finished.errors))
            return finished
        with Journal(journal_of(path), found.lines, fresh=overwrite) as journal:
            _agree(journal, head)
            wanted = part.indices(found.lines)
            meter = BatchMeter(len(wanted), journal.done, watch)
            meter.tell("started", journal.done, journal.errors)
            tasks = (
                task
                for task in read_tasks(lines, ignore)
                if task.index in wanted and not journal.has(task.index)
            )
            for answers in _answers(crew, tasks, stopped):
                journal.add([(each.index, each.text, each.wrong) for each in answers])
                tokens = sum(each.tokens for each in answers)
                meter.tell("progress", journal.done, journal.errors, tokens)
            journal.sync()
            _check_unchanged(lines, stamp, journal)
            complete = journal.done == len(wanted)
            if complete:
                _publish(path, journal, head, wanted, found)
            last = meter.tell("finished" if complete else "stopped", journal.done, journal.errors)
    return _summary(path, last, complete=complete)


def _answers(
    crew: Crew, tasks: Iterator[LineTask], stopped: Callable[[], bool]
) -> Iterator[list[LineAnswer]]:
    """Yield results; a model that is not needed is not kept busy."""
    first = next(tasks, None)
    if first is not None:
        yield from crew.run(chain([first], tasks), stopped)


class _Closable:
    """Closes a crew that can be closed."""

    def __init__(self, crew: object) -> None:
        self._crew = crew

    def close(self) -> None:
        getattr(self._crew, "close", lambda: None)()


def _summary(path: Path, last: BatchProgress, *, complete: bool) -> BatchSummary:
    return BatchSummary(
        path, last.lines, last.done, last.errors, last.tokens, last.seconds, complete
    )


def _check_target(path: Path, source: object, found: Survey) -> None:
    """Refuse an output that cannot be made.

    Raises:
        OptionError: It is the input, is nowhere, or cannot have the ids.
    """
    suffix = suffix_of(path, "target")
    if not path.parent.is_dir():
        message = f"{path}: there is no folder {path.parent}"
        raise OptionError(message, name="target", value=str(path))
    if isinstance(source, str | Path) and path.exists() and path.samefile(source):
        message = f"{path} is the input: expected another file for the output"
        raise OptionError(message, name="target", value=str(path))
    if suffix == ".parquet":
        found.ids.check()


def _finished(path: Path, head: Mapping[str, object], *, overwrite: bool) -> BatchSummary | None:
    """Return what became of an earlier run, if it was the same and came to its end.

    Raises:
        OptionError: There is an output of something else.
    """
    if overwrite or not path.exists() or journal_of(path).exists():
        return None
    side = read_side_file(path)
    changes = ["nothing beside it says how it was made"] if side is None else []
    if side is not None:
        changes = _changes({**side, "facts": next(iter(side["runs"].values()))}, head)
    if changes or side is None:
        message = f"{path} is there already, and is another batch's: {'; '.join(changes)}"
        raise OptionError(
            f"{message}; give another output, or overwrite=True (--overwrite)",
            name="target",
            value=str(path),
        )
    return BatchSummary(path, side["lines"], side["lines"], side["errors"])


def _agree(journal: Journal, head: Mapping[str, object]) -> None:
    """Begin a journal, or make sure that an old one is of the same run.

    Raises:
        OptionError: It is another one's.
    """
    if journal.head is None:
        journal.begin(head)
    elif changes := _changes(journal.head, head):
        message = f"{journal.path} is of another run: {'; '.join(changes)}"
        raise OptionError(
            f"{message}; run it as before to go on, or begin anew with overwrite=True "
            "(--overwrite)",
            name="target",
            value=str(journal.path),
        )
    facts = head["facts"]
    if isinstance(facts, Mapping):
        journal.note({"name": name_of(facts), "facts": facts})


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Say in what two runs differ."""
    found = []
    old, new = before["input"], now["input"]
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old["digest"] != new["digest"]:
        found.append(
            f"the input has changed since ({old['lines']} lines then, {new['lines']} now)"
            if old["lines"] != new["lines"]
            else "the input has changed since"
        )
    if before["shard"] != now["shard"]:
        was, is_now = ("/".join(map(str, each["shard"])) for each in (before, now))  # type: ignore[call-overload]
        found.append(f"the shard was {was} and is {is_now}")
    facts = before["facts"], now["facts"]
    if isinstance(facts[0], Mapping) and isinstance(facts[1], Mapping):
        found += disagreements(facts[0], facts[1])
    return found


def _check_unchanged(lines: LineSource, stamp: object, journal: Journal) -> None:
    """Make sure that nobody wrote to the source meanwhile.

    Raises:
        BatchError: Somebody did.
    """
    if lines.stamp() != stamp:
        message = f"{lines.name} was changed while it was read: its results may be of other lines"
        raise BatchError(f"{message}; begin anew with --overwrite", done=journal.done)


def _publish(
    path: Path, journal: Journal, head: Mapping[str, object], wanted: range, found: Survey
) -> None:
    """Make the output of the journal, and remove that.

    Raises:
        BatchError: The disk is full or broken; the journal is kept.
    """
    side = {name: value for name, value in head.items() if name != "facts"}
    side |= {"lines": journal.done, "errors": journal.errors}
    side["runs"] = {str(each["name"]): each["facts"] for each in journal.ran}
    try:
        write_json(side_file_of(path), side)
        write_results(path, journal.results(iter(wanted)), numbered=not found.ids.texts)
        journal.path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        if error.errno not in DISK_TROUBLE:
            raise
        message = f"{path}: {error.strerror}; all {journal.done} lines are done and kept in"
        raise BatchError(
            f"{message} {journal.path}: make room, and run the same again", done=journal.done
        ) from error
