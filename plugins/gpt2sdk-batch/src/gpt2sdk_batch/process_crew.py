"""Several processes on one machine, each with a model of its own; one that dies is replaced."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

import torch

from gpt2sdk import GPT2SDKError
from gpt2sdk_batch.answers import LineAnswer
from gpt2sdk_batch.errors import BatchError
from gpt2sdk_batch.run_settings import RunSettings, check_same
from gpt2sdk_batch.tasks import LineTask
from gpt2sdk_batch.worker import Load, Worker, loaded

_DEATHS: Final = 5
_PATIENCE: Final = 30.0
_LOOK: Final = 0.5


def processes(load: Load, count: int) -> "Callable[[RunSettings], ProcessCrew]":
    """Let so many processes do the lines of a run: `run(processes(load, 8), …)`.

    Each loads the model and gets its part of the threads. A script that calls it has to be
    importable: what it does stands behind `if __name__ == "__main__":`.

    Args:
        load: The model's name; or what loads a generator, and pickles.
        count: How many.
    """
    return lambda settings: ProcessCrew(load, count, settings)


@dataclass(eq=False)
class _ProcessMate:
    """One process, and what it has to do."""

    process: SpawnProcess
    pipe: Connection
    tasks: dict[int, LineTask] = field(default_factory=dict)
    ready: bool = False


class ProcessCrew:
    """Hands lines to processes, and takes what they make of them.

    The lines of one that dies are handed to another, so only a line that kills whoever has it, or
    a machine without enough memory, ends a run.

    Attributes:
        facts: What results depend on besides the lines, as the first process says.
    """

    def __init__(self, load: Load, count: int, settings: RunSettings) -> None:
        """Start the processes, and wait for the first model.

        Args:
            load: Loads a generator.
            count: How many processes.
            settings: What lines have in common.

        Raises:
            GPT2SDKError: The model cannot be loaded, or an option is wrong.
            BatchError: Processes die before they have a model.
        """
        self._context: SpawnContext = get_context("spawn")
        threads = max(1, torch.get_num_threads() // count)
        self._arguments = load, settings, threads
        self._ahead = 8 * settings.batch_size
        self._deaths = 0
        self._back: deque[LineTask] = deque()
        self.facts: Mapping[str, object] = {}
        self._mates = [self._start() for _ in range(count)]
        try:
            while not self.facts:
                self._listen()
        except BaseException:
            self.close()
            raise

    def run(
        self, tasks: Iterator[LineTask | None], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[LineAnswer]]:
        """Do lines, and yield results as they are finished.

        Args:
            tasks: The lines.
            stopped: Asked now and then whether to end early, with what is whole.

        Raises:
            GPT2SDKError: Something is wrong in a process that is no line's fault.
            BatchError: Processes die again and again.
        """
        more = True
        while True:
            for mate in self._mates:
                more = self._hand_out(mate, tasks, more=more)
            if not more and not self._back and not any(mate.tasks for mate in self._mates):
                return
            if stopped():
                yield from self._stop()
                return
            if answers := self._listen():
                yield answers

    def close(self) -> None:
        """End all processes."""
        for mate in self._mates:
            mate.pipe.close()
            mate.process.terminate()
        for mate in self._mates:
            mate.process.join(_PATIENCE)
            mate.process.kill()

    def _start(self) -> _ProcessMate:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, *self._arguments), daemon=True)
        process.start()
        there.close()
        return _ProcessMate(process, here)

    def _hand_out(
        self, mate: _ProcessMate, tasks: Iterator[LineTask | None], *, more: bool
    ) -> bool:
        """Give a process lines when it has few left; return whether there may be more."""
        if not mate.ready or len(mate.tasks) > self._ahead // 2:
            return more
        some: list[LineTask] = []
        while len(mate.tasks) + len(some) < self._ahead:
            task = self._back.popleft() if self._back else (next(tasks, None) if more else None)
            if task is None:
                more = False
                break
            some.append(task)
        if some:
            mate.tasks |= {task.index: task for task in some}
            _send(mate.pipe, ("do", some))
        return more

    def _listen(self) -> list[LineAnswer]:
        """Wait for a process to say something, or to die."""
        answers: list[LineAnswer] = []
        heard = wait([mate.pipe for mate in self._mates], _LOOK)
        for mate in [each for each in self._mates if each.pipe in heard]:
            try:
                word, what = mate.pipe.recv()
            except (EOFError, OSError):
                self._replace(mate)
                continue
            if word == "facts":
                check_same(self.facts, what, "processes")
                self.facts = self.facts or what
                mate.ready = True
            elif word == "error":
                raise what
            else:
                answers += [each for each in what if mate.tasks.pop(each.index, None)]
                self._deaths = 0
        return answers

    def _replace(self, mate: _ProcessMate) -> None:
        """Take back what a dead process had, and start another.

        Raises:
            BatchError: One after the other died without having finished a line.
        """
        mate.process.join(_PATIENCE)
        code = mate.process.exitcode
        self._deaths += 1
        if self._deaths >= _DEATHS * len(self._mates):
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            message = f"worker processes died {self._deaths} times without finishing a line ({how})"
            raise BatchError(f"{message}: is there memory for {len(self._mates)} models?")
        self._back.extendleft(reversed(mate.tasks.values()))
        mate.pipe.close()
        self._mates[self._mates.index(mate)] = self._start()

    def _stop(self) -> Iterator[list[LineAnswer]]:
        """Let all processes end, and take what they have whole."""
        for mate in self._mates:
            _send(mate.pipe, ("stop", None))
        for mate in self._mates:
            try:
                while mate.tasks and mate.pipe.poll(_PATIENCE):
                    word, what = mate.pipe.recv()
                    if word == "answers":
                        yield what
            except (EOFError, OSError):
                continue


def _send(pipe: Connection, message: object) -> None:
    """Send, unless nobody is there any more, which is noticed elsewhere."""
    try:
        pipe.send(message)
    except OSError:
        return


class _Inbox:
    """The lines that a process is given, as an iterator that never waits while there is work.

    A thread takes in what is sent, also while results are sent: both sides write as much as they
    like at the same time, and if neither read then, both would wait for ever.
    """

    def __init__(self, pipe: Connection) -> None:
        self.stopped = False
        self.worker: Worker | None = None
        self._tasks: deque[LineTask] = deque()
        self._heard: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        Thread(target=_take_in, args=(pipe, self._heard.put), daemon=True).start()

    def __iter__(self) -> "_Inbox":
        return self

    def __next__(self) -> LineTask | None:
        if not self._tasks:
            self.look()
        if self._tasks:
            return self._tasks.popleft()
        return None

    def look(self) -> bool:
        """Read what was sent; wait for it where there is nothing else to do.

        Raises:
            EOFError: Nobody is there any more.
        """
        idle = not self._tasks and not (self.worker is not None and self.worker.busy)
        while not self.stopped and (idle or not self._heard.empty()):
            word, what = self._heard.get()
            if word == "gone":
                raise what
            self.stopped = word == "stop"
            self._tasks.extend(what or ())
            idle = False
        return self.stopped


def _take_in(pipe: Connection, put: Callable[[tuple[str, Any]], None]) -> None:
    """Read messages for as long as there are any."""
    try:
        while True:
            put(pipe.recv())
    except Exception as error:  # noqa: BLE001 - whoever reads the lines says it
        put(("gone", error))


def _work(pipe: Connection, load: Load, settings: RunSettings, threads: int) -> None:
    """What a process does: load, then lines, until it is told to end or nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told, and tells the others
    torch.set_num_threads(threads)
    try:
        worker = Worker(loaded(load), settings)
        pipe.send(("facts", worker.facts))
        inbox = _Inbox(pipe)
        inbox.worker = worker
        for answers in worker.run(inbox, inbox.look):
            pipe.send(("answers", answers))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # noqa: BLE001 - the first process says it
        _send(pipe, ("error", _portable(error)))
    finally:
        pipe.close()


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent."""
    if isinstance(error, GPT2SDKError):
        return BatchError(f"{type(error).__name__}: {error}")
    return BatchError(f"a worker process ended with {type(error).__name__}: {error}")
