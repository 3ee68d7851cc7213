"""A network whose scores a runner computes, once it is prepared."""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from threading import RLock
from typing import Self

import torch
from torch.nn.modules import module as every_module
from typing_extensions import override

from gpt2sdk.allocator import tight_memory
from gpt2sdk.components.quantized import Quantized
from gpt2sdk.components.runner import Runner, Running
from gpt2sdk.gpt2.layered import Layered
from gpt2sdk.gpt2.snapshot import Snapshot
from gpt2sdk.gpt2.torch_runner import TorchRunner


class Prepared(Layered):
    """A module that hands its matrices to a runner, and takes them back."""

    def __init__(self) -> None:
        """Start plain."""
        super().__init__()
        self._runners: tuple[Runner, ...] = ()
        self._running: tuple[Runner, Running, Snapshot] | None = None
        # What it consisted of when somebody last asked for the origin of modules' results.
        self._seen: Snapshot | None = None
        # Held while the form of weights is exchanged; who merely computes goes on.
        self._exchanging = RLock()

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where tokens are wanted and logits come out."""

    @property
    def runner(self) -> Runner | None:
        """What computes scores; `None` where all modules are called, as before `prepare`."""
        return self._running[0] if self._running else None

    def prepare(self, runners: Sequence[Runner] = ()) -> Mapping[str, str]:
        """Make `score` fast: let the first runner that can pack the weights and compute with them.

        It then holds the matrices in place of the modules, which compute with what it holds, but
        have no gradients: `train()` and `unpack()` are the ways back. The next `score` in
        evaluation mode packs again, as it does when weights were loaded, moved or replaced. Hooked
        modules, and those under `capture` and `patch`, are called as ever. The model is put into
        evaluation mode.

        Args:
            runners: Whom to ask before the torch functions, which come last.

        Returns:
            How each matrix will be computed: see `Running.kernels`. Empty if the blocks were
            changed so that all modules have to be called.
        """
        with self._exchanging, tight_memory():
            self.eval()
            self._release()
            others = [each for each in runners if not isinstance(each, TorchRunner)]
            self._runners = *sorted(others, key=lambda each: (each.order, each.name)), TorchRunner()
            able = (each for each in self._runners if each.probe(self, self.device) is None)
            runner = next(able, None)
            if runner is None:
                self._runners = ()
                return {}
            running = runner.prepare(self)
            self._running = runner, running, Snapshot(self)
            return dict(running.kernels)

    def origin(self) -> Hashable | None:
        """Say what keys and values would come of now: see `RecallableLM`.

        Weights that are written to, replaced or packed anew are another origin, and so are other
        settings of what is `Adjustable`. There is none while a module has a hook, as under
        `capture` and `patch`. What torch keeps no count of is not noticed: what is written through
        `.data`, and other attributes that are no tensors.
        """
        self._ready()
        found = self._running
        snapshot = found[2] if found else self._witness()
        if snapshot.hooked:
            return None
        if found is None and (_hooked_everywhere() or snapshot.overridden):
            return None
        at_rest = self._route is None or self._route.settled
        return snapshot.mark, snapshot.written(at_rest=at_rest)

    def _witness(self) -> Snapshot:
        """Return what a model that is not packed consists of."""
        seen = self._seen
        if seen is None or not seen.unchanged:
            self._seen = seen = Snapshot(self)
        return seen

    def unpack(self) -> None:
        """Hold all matrices in their plain form again, until the next `score` packs them."""
        with self._exchanging, tight_memory() if self._running else nullcontext():
            self._release()
            for module in self.modules():
                if isinstance(module, Quantized) and not module.fixed:
                    module.unpack()

    @override
    def train(self, mode: bool = True) -> Self:
        with self._exchanging:
            if mode:
                self.unpack()
            return super().train(mode)

    @override
    def __getstate__(self) -> dict[str, object]:
        state = {**self.__dict__, "_running": None, "_seen": None}
        del state["_exchanging"]
        return state

    @override
    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._exchanging = RLock()

    def _release(self) -> None:
        """Let the modules have their weights; who is computing goes on with what was packed."""
        running, self._running = self._running, None
        if running is not None:
            running[1].release()

    @override
    def _ready(self) -> Running | None:
        """Return what computes, if modules need not be called."""
        if self.training or not self._runners:
            return None
        found = self._current()
        if found is None:
            with self._exchanging:
                # Another thread may have been first.
                if self._current() is None:
                    self.prepare(self._runners)
                found = self._running
        return None if found is None or found[2].hooked else found[1]

    def _current(self) -> tuple[Runner, Running, Snapshot] | None:
        """Return what computes, unless the model is another one by now."""
        found = self._running
        usable = found is not None and found[2].unchanged and found[1].current
        return found if usable else None


def _hooked_everywhere() -> bool:
    """Whether torch calls some hook for each module that there is."""
    return bool(every_module._global_forward_hooks or every_module._global_forward_pre_hooks)  # noqa: SLF001 - no other way to know
