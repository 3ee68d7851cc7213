"""Lines through one model: many at a time, each to the result that it has alone."""

import errno
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, cast

from gpt2sdk import Completion, Generator, OptionError, Result
from gpt2sdk_batch.answers import LineAnswer, completed, decided, failed
from gpt2sdk_batch.run_settings import RunSettings, facts_of, name_of
from gpt2sdk_batch.seeds import seed_of
from gpt2sdk_batch.tasks import LineTask

Load = str | Path | Callable[[], Generator]
"""A model's name, folder or hub id; or what loads a generator in another process, and pickles: a
function of a module, or a `functools.partial` of one."""

_GROUP: Final = 16
_END: Final = object()
_LEADS: Final = ("strategy", "sampler", "drafter")
_UNMADE: Final = frozenset({"cancelled", "error"})


def loaded(load: Load) -> Generator:
    """Return the generator that is meant."""
    return Generator.from_pretrained(load) if isinstance(load, str | Path) else load()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A line whose prompt is written.

    Attributes:
        task: The line.
        prompt: Its text, or token ids.
        length: Its tokens.
        key: What lines that can be one call have in common.
        seed: The seed of its rows.
    """

    task: LineTask
    prompt: str | Sequence[int]
    length: int
    key: str
    seed: int


class _LineGroup:
    """Lines with the same options, which are one call."""

    def __init__(self, worker: "Worker", lines: Sequence[_Ready]) -> None:
        self.lines = lines
        config, options = worker.asked(lines[0].task)
        self.stream = worker.generator.stream(
            [line.prompt for line in lines],
            engine=worker.engine,
            config=config,
            **{**options, "seed": [line.seed for line in lines]},
        )

    def result(self) -> Result:
        """Read the stream to its end, and return what it made, whatever failed."""
        # What is wrong is found anew where the line is done by itself.
        with suppress(Exception):
            deque(self.stream, maxlen=0)
        return self.stream.result


class Worker:
    """Does lines with one generator, which is kept busy: more are handed in than run at a time.

    A line whose call fails is done again by itself, so neither its result nor its error depends on
    its neighbours. Where memory is short even then, it is done once more when nothing else is.

    Attributes:
        generator: What runs them.
        engine: What all of them share.
        facts: What results depend on besides the lines.
        ran: The name of the facts, which each result has.
    """

    def __init__(self, generator: Generator, settings: RunSettings) -> None:
        """Get ready.

        Args:
            generator: What runs lines.
            settings: What they have in common.

        Raises:
            OptionError: An option is wrong.
        """
        self.generator = generator
        self.facts: Mapping[str, object] = facts_of(generator, settings)
        self.ran = name_of(self.facts)
        self.engine = generator.engine(batch_size=settings.batch_size)
        self._settings = settings
        self._base = cast("dict[str, object]", self.facts["options"])
        self._ahead = 6 * settings.batch_size
        self._size = max(1, min(_GROUP, settings.batch_size // 2))
        self._pool: list[_Ready] = []
        self._groups: list[_LineGroup] = []
        self._starved: list[Callable[[], list[LineAnswer]]] = []

    @property
    def busy(self) -> bool:
        """Whether there is something to do without another line."""
        return bool(self._pool or self._groups or self._starved)

    def run(
        self, tasks: Iterator[LineTask | None], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[LineAnswer]]:
        """Do lines, and yield results as they are finished, some at a time.

        Args:
            tasks: The lines; `None` where there is none at the moment.
            stopped: Asked before each step whether to end early, with what is whole.
        """
        more = True
        while more or self.busy:
            if stopped():
                yield self._stop()
                return
            answers: list[LineAnswer] = []
            while more and len(self._pool) < self._ahead:
                task = next(tasks, _END)
                if task is None:
                    break
                if task is _END:
                    more = False
                    break
                answers += self._take(cast("LineTask", task))
            if answers := answers + self._advance():
                yield answers

    def asked(self, task: LineTask) -> tuple[Mapping[str, object] | None, dict[str, Any]]:
        """Return the preset and the options of a line's call: the line's own go before.

        Where it names another strategy, sampler or drafter, the options of the run's are left out.

        Raises:
            OptionError: It sets what is the run's to say.
        """
        own = {name.replace("-", "_"): value for name, value in task.options.items()}
        if "batch_size" in own:
            message = "batch_size is the run's to say: give it with the run"
            raise OptionError(message, name="batch_size", value=own["batch_size"])
        own.pop("seed", None)
        given: dict[str, Any] = _without(self._settings.options, own)
        config = {**_without(self._settings.config, own), **own}
        leads = {
            name: own[name] for name in _LEADS if own.get(name) not in (None, self._base.get(name))
        }
        for name, value in leads.items():
            if type(value) is not str:
                message = f"{name} is {value!r:.60}, expected a name"
                raise OptionError(message, name=name, value=value)
        if leads:
            # What names a lead goes before a preset, and then the preset's options of another one
            # are left out.
            data = {name: value for name, value in given.items() if _is_data(value)}
            config = {**data, **config}
            given = {**{name: given[name] for name in given.keys() - data.keys()}, **leads}
            config = {name: value for name, value in config.items() if name not in leads}
        return {name: each for name, each in config.items() if each is not None} or None, given

    def _take(self, task: LineTask, *, last: bool = False) -> list[LineAnswer]:
        """Write a line's prompt; return its result if it is a choice, or wrong."""
        try:
            prompt = task.prompt
            if task.messages is not None:
                template = self._settings.chat_template
                messages = cast("list[dict[str, object]]", task.messages)
                prompt = self.generator.chat_prompt(messages, chat_template=template)
            if task.choices is not None:
                return [self._choose(task, prompt)]
            self._pool.append(self._ready(task, prompt))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this line's
            again = None if last else partial(self._take, task, last=True)
            return self._refused(task, error, again)
        return []

    def _ready(self, task: LineTask, prompt: object) -> _Ready:
        self.asked(task)
        seed = task.options.get("seed", seed_of(self._settings.seed, task.id))
        if type(seed) is not int:
            raise OptionError(f"seed is {seed!r:.60}, expected a whole number", name="seed")
        if isinstance(prompt, str):
            language = self.generator.tokenizer
            length = len(language.encode(prompt, allow_special=False))
        elif isinstance(prompt, list | tuple) and all(type(each) is int for each in prompt):
            length = len(prompt)
        else:
            message = f"the prompt is {prompt!r:.60}, expected a text or a list of token ids"
            raise OptionError(message, name="prompt", value=prompt)
        key = json.dumps(
            {name: value for name, value in task.options.items() if name != "seed"}, sort_keys=True
        )
        return _Ready(task, cast("str | Sequence[int]", prompt), length, key, seed)

    def _choose(self, task: LineTask, asked: object) -> LineAnswer:
        if task.options:
            message = f"options {', '.join(task.options)} have no part in a choice: leave them out"
            raise OptionError(message, name="options", value=task.options)
        prompt, choices = cast("str | Sequence[int]", asked), cast("Sequence[str]", task.choices)
        by = cast("Literal['sum', 'token', 'byte']", task.normalization)
        # It says what is wrong with any of them.
        return decided(task, self.generator.choose(prompt, choices, normalization=by), self.ran)

    def _advance(self) -> list[LineAnswer]:
        """Do a step of all calls, and return the results of those that are over."""
        answers = self._submit()
        if self._groups:
            self.engine.step()
        for group in [each for each in self._groups if each.stream.over]:
            self._groups.remove(group)
            answers += self._finish(group)
        if self._starved and not self._groups and not self._pool:
            answers += self._starved.pop(0)()
        return answers

    def _submit(self) -> list[LineAnswer]:
        """Hand in calls until enough lines wait for room in the engine."""
        answers: list[LineAnswer] = []
        running = sum(len(group.lines) for group in self._groups)
        self._pool.sort(key=lambda each: (each.key, each.length))
        while self._pool and running < 2 * self._settings.batch_size + self._size:
            first = min(range(len(self._pool)), key=lambda at: self._pool[at].task.index)
            key = self._pool[first].key
            alike = [at for at in range(len(self._pool)) if self._pool[at].key == key]
            start = max(0, min(alike.index(first), len(alike) - self._size))
            taken = alike[start : start + self._size]
            lines = [self._pool[at] for at in taken]
            for at in reversed(taken):
                del self._pool[at]
            running += len(lines)
            answers += self._call(lines)
        return answers

    def _call(self, lines: Sequence[_Ready]) -> list[LineAnswer]:
        """Hand in a call; where it is refused, one for each of its lines."""
        try:
            self._groups.append(_LineGroup(self, lines))
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            if len(lines) == 1:
                again = partial(self._alone, lines[0], last=True)
                return self._refused(lines[0].task, error, again)
            return [answer for line in lines for answer in self._call([line])]
        return []

    def _finish(self, group: _LineGroup) -> list[LineAnswer]:
        """Return the results of a call that is over; what failed in it is done again, alone."""
        result = group.result()
        answers: list[LineAnswer] = []
        for line, answer in zip(group.lines, self._whole(group, result), strict=True):
            answers += self._alone(line) if answer is None else [answer]
        return answers

    def _whole(self, group: _LineGroup, result: Result) -> Iterator[LineAnswer | None]:
        """Yield the results of a call's lines; `None` for those that have not all they ask for."""
        made: dict[int, list[Completion]] = {}
        for each in result.completions:
            made.setdefault(each.prompt_index, []).append(each)
        for index, line in enumerate(group.lines):
            found = made.get(index, [])
            options = self._own_options(result, index)
            wanted = options.get("num_return_sequences", self._base.get("num_return_sequences"))
            unmade = any(each.finish_reason in _UNMADE for each in found)
            if unmade or len(found) != wanted:
                yield None
            else:
                yield completed(line.task, found, line.length, options, self.ran)

    def _alone(self, line: _Ready, *, last: bool = False) -> list[LineAnswer]:
        """Do a line without neighbours; return no result if it is to be done once more."""
        config, options = self.asked(line.task)
        options = {**options, "seed": line.seed}
        try:
            result = self.generator.generate(line.prompt, config=config, **options)
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            again = None if last else partial(self._alone, line, last=True)
            return self._refused(line.task, error, again)
        own = self._own_options(result, 0)
        return [completed(line.task, result.completions, line.length, own, self.ran)]

    def _refused(
        self, task: LineTask, error: Exception, again: Callable[[], list[LineAnswer]] | None
    ) -> list[LineAnswer]:
        """Return an error as a result; where memory was short, keep it for once more instead."""
        if again is None or not _is_hunger(error):
            return [failed(task, error, self.ran)]
        self._starved.append(again)
        return []

    def _own_options(self, result: Result, index: int) -> dict[str, object]:
        """Return what was in force for a line and not for all lines.

        Where something of these was not in force for it, all that was, its strategy among it.
        """
        if result.record is None:
            return {}
        record = result.record.for_prompt(index) if result.record.columns else result.record
        options = {name: each for name, each in record.options.items() if name != "batch_size"}
        if self._base.keys() - options.keys():
            return options
        return {
            name: value
            for name, value in options.items()
            if name not in self._base or self._base[name] != value
        }

    def _stop(self) -> list[LineAnswer]:
        """End what runs, and return the results that are whole."""
        answers: list[LineAnswer] = []
        for group in self._groups:
            group.stream.cancel()
        for group in self._groups:
            result = group.result()
            answers += [each for each in self._whole(group, result) if each is not None]
        self._groups, self._pool, self._starved = [], [], []
        return answers


def _is_hunger(error: Exception) -> bool:
    """Whether memory was short."""
    cause: BaseException | None = error
    while cause is not None:
        named = type(cause).__name__ in {"MemoryError", "OutOfMemoryError"}
        if named or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return True
        cause = cause.__cause__
    return False


def _without(options: Mapping[str, object], names: Mapping[str, object]) -> dict[str, object]:
    return {name: each for name, each in options.items() if name.replace("-", "_") not in names}


def _is_data(value: object) -> bool:
    """Whether a preset may have a value."""
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    if isinstance(value, Mapping):
        return all(map(_is_data, value.values()))
    return value is None or isinstance(value, str | int | float | bool)
