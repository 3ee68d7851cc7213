"""The driver: runs an engine in a thread of its own while somebody waits for what it makes."""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Protocol


class Passenger(Protocol):
    """Whoever waits for an engine to get on."""

    def board(self) -> None:
        """Hand in what is to be run; whatever it raises is the passenger's own affair."""

    def look(self, *, idle: bool) -> bool:
        """Take what was made; called after every step.

        Args:
            idle: Whether the engine has nothing left to do.

        Returns:
            Whether to be called again.
        """

    def announce(self) -> None:
        """Let those know who wait for it; called when all have looked."""

    def fail(self, error: BaseException) -> None:
        """Learn that the engine, or the passenger's own code, raised; it is not called again.

        Like `announce`, it raises nothing.
        """


class Driver:
    """Makes an engine's steps while it has passengers, and rests in between.

    Its thread ends when nobody waits any more, and begins when somebody does: there is none to be
    closed. It keeps no process from ending.
    """

    def __init__(self) -> None:
        """Wait for passengers."""
        self._lock = Lock()
        self._new: list[Passenger] = []
        self._thread: Thread | None = None

    def take(self, passenger: Passenger, step: Callable[[], bool]) -> None:
        """Run the engine for a passenger, too; returns at once.

        Args:
            passenger: Who waits.
            step: Makes the engine's next step; returns whether anything is left to do.
        """
        with self._lock:
            self._new.append(passenger)
            # One that is not alive was left behind by a fork.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(
                    target=self._drive, args=[step], name="gpt2sdk-engine", daemon=True
                )
                self._thread.start()

    def _drive(self, step: Callable[[], bool]) -> None:
        aboard: list[Passenger] = []
        while True:
            with self._lock:
                new, self._new = self._new, []
                if not new and not aboard:
                    self._thread = None
                    return
            aboard += [each for each in new if _boards(each)]
            try:
                idle = bool(aboard) and not step()
            except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
                for each in aboard:
                    each.fail(error)
                aboard = []
                with suppress(BaseException):
                    step()  # what has ended is let go of
                continue
            looked, aboard = aboard, [each for each in aboard if _stays(each, idle=idle)]
            for each in looked:
                each.announce()


def _boards(passenger: Passenger) -> bool:
    try:
        passenger.board()
    except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
        passenger.fail(error)
        return False
    return True


def _stays(passenger: Passenger, *, idle: bool) -> bool:
    try:
        return passenger.look(idle=idle)
    except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
        passenger.fail(error)
        return False
