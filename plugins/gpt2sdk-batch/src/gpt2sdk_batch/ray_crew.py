"""Actors of Ray on one machine or many, each with a model; the journal stays with who asks."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gpt2sdk_batch.answers import LineAnswer
from gpt2sdk_batch.errors import BatchError
from gpt2sdk_batch.missing import needed
from gpt2sdk_batch.run_settings import RunSettings, check_same
from gpt2sdk_batch.tasks import LineTask
from gpt2sdk_batch.worker import Load, Worker, loaded

_DEATHS: Final = 5
_LOOK: Final = 0.5
_CALLS: Final = 2


def ray_actors(
    load: Load,
    count: int,
    *,
    address: str | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> "Callable[[RunSettings], RayCrew]":
    """Let so many actors of Ray do the lines of a run: `run(ray_actors(load, 8), …)`.

    An actor, or a node, that dies is replaced, and what it had is done by others.

    Args:
        load: The model's name; or what loads a generator, and pickles.
        count: How many.
        address: The cluster, such as "auto" or "ray://head:10001"; "local" for one on this machine.
            Ray that was initialised before is used as it is.
        num_cpus: What each actor takes of its node.
        num_gpus: Likewise; a part of one, too.

    Raises:
        OptionError: Ray is not installed.
    """
    ray = needed("ray", "a run with actors")

    def engage(settings: RunSettings) -> RayCrew:
        if not ray.is_initialized():
            ray.init(address, log_to_driver=False)
        actor = ray.remote(LineActor).options(
            num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=0, max_task_retries=0
        )
        return RayCrew(ray, lambda: actor.remote(load, settings), count, settings)

    return engage


class LineActor:
    """A worker in a process of Ray's."""

    def __init__(self, load: Load, settings: RunSettings) -> None:
        self._worker = Worker(loaded(load), settings)
        self._tasks: deque[LineTask] = deque()
        self._running = self._worker.run(self)
        self._open = 0

    def __iter__(self) -> "LineActor":
        return self

    def __next__(self) -> LineTask | None:
        return self._tasks.popleft() if self._tasks else None

    def facts(self) -> Mapping[str, object]:
        """Return what results depend on besides the lines."""
        return self._worker.facts

    def do(self, tasks: list[LineTask], keep: int) -> list[LineAnswer]:
        """Take lines, and return what is finished, once no more than so many are left to do."""
        self._tasks.extend(tasks)
        self._open += len(tasks)
        answers: list[LineAnswer] = []
        while self._open > keep:
            some = next(self._running)
            self._open -= len(some)
            answers += some
        return answers


@dataclass(eq=False)
class _ActorMate:
    """An actor, what it was asked, and the lines it has; it gets some once it said its facts."""

    actor: Any
    facts: Any
    calls: list[Any] = field(default_factory=list)
    tasks: dict[int, LineTask] = field(default_factory=dict)
    ready: bool = False


class RayCrew:
    """Hands lines to actors, and takes what they make of them.

    Attributes:
        facts: What results depend on besides the lines; all actors say the same.
    """

    def __init__(
        self,
        ray: Any,  # noqa: ANN401 - it is optional
        start: Callable[[], Any],
        count: int,
        settings: RunSettings,
    ) -> None:
        """Start the actors, and wait for the first model.

        Args:
            ray: Ray.
            start: Starts an actor.
            count: How many.
            settings: What lines have in common.

        Raises:
            BatchError: The model cannot be loaded, or an option is wrong.
        """
        self._ray = ray
        self._start = start
        self._some = 2 * settings.batch_size
        self._deaths = 0
        self._back: deque[LineTask] = deque()
        self.facts: Mapping[str, object] = {}
        self._mates = [self._engage() for _ in range(count)]
        try:
            first, _ = ray.wait([mate.facts for mate in self._mates])
            self.facts = ray.get(first[0])
        except ray.exceptions.RayError as error:
            self.close()
            raise BatchError(f"an actor cannot begin: {_said(error)}") from error

    def run(
        self, tasks: Iterator[LineTask | None], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[LineAnswer]]:
        """Do lines, and yield results as they are finished.

        Args:
            tasks: The lines.
            stopped: Asked now and then whether to end early; what actors have not handed over
                then is done anew by the next run.

        Raises:
            BatchError: Something is wrong in an actor that is no line's fault, they disagree about
                model, runner or versions, or they die again and again.
        """
        more = True
        while not stopped():
            for mate in self._mates:
                more = self._hand_out(mate, tasks, more=more)
            if not more and not self._back and not any(mate.tasks for mate in self._mates):
                return
            calls = [call for mate in self._mates for call in mate.calls]
            begun = [mate.facts for mate in self._mates if not mate.ready]
            ready, _ = self._ray.wait([*begun, *calls], timeout=_LOOK)
            for mate in list(self._mates):
                if mate.facts in ready:
                    self._welcome(mate)
                for call in [each for each in mate.calls if each in ready]:
                    if answers := self._read(mate, call):
                        yield answers

    def close(self) -> None:
        """End all actors."""
        for mate in self._mates:
            self._ray.kill(mate.actor)

    def _engage(self) -> _ActorMate:
        actor = self._start()
        return _ActorMate(actor, actor.facts.remote())

    def _welcome(self, mate: _ActorMate) -> None:
        """Let an actor take part, if it makes of lines what the others do.

        Raises:
            BatchError: It does not.
        """
        try:
            check_same(self.facts, self._ray.get(mate.facts), "actors")
            mate.ready = True
        except self._ray.exceptions.RayError as error:
            self._replace(mate, error)

    def _hand_out(self, mate: _ActorMate, tasks: Iterator[LineTask | None], *, more: bool) -> bool:
        """Give an actor lines when it has few calls; return whether there may be more."""
        while mate.ready and len(mate.calls) < _CALLS:
            some: list[LineTask] = []
            while len(some) < self._some:
                task = self._back.popleft() if self._back else (next(tasks, None) if more else None)
                if task is None:
                    more = False
                    break
                some.append(task)
            if not some and not (mate.tasks and not mate.calls):
                return more
            mate.tasks |= {task.index: task for task in some}
            # The engine of an actor stays full while lines of the next call are on their way.
            keep = self._some // 2 if some else 0
            mate.calls.append(mate.actor.do.remote(some, keep))
        return more

    def _read(self, mate: _ActorMate, call: Any) -> list[LineAnswer]:  # noqa: ANN401 - Ray's
        """Read what a call returned; replace an actor that is dead."""
        if call not in mate.calls:
            return []
        mate.calls.remove(call)
        try:
            answers: list[LineAnswer] = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._replace(mate, error)
            return []
        except self._ray.exceptions.RayError as error:
            raise BatchError(f"an actor ended with {_said(error)}") from error
        self._deaths = 0
        return [each for each in answers if mate.tasks.pop(each.index, None)]

    def _replace(self, mate: _ActorMate, error: Exception) -> None:
        """Take back what a dead actor had, and start another.

        Raises:
            BatchError: One after the other died without having finished a line.
        """
        self._deaths += 1
        if self._deaths >= _DEATHS * len(self._mates):
            message = f"actors died {self._deaths} times without finishing a line"
            raise BatchError(f"{message}: {_said(error)}") from error
        self._back.extendleft(reversed(mate.tasks.values()))
        self._mates[self._mates.index(mate)] = self._engage()


def _said(error: Exception) -> str:
    """Return the last line of what Ray says, which is the error itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
