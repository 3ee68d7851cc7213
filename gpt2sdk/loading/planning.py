"""Decides how a model is loaded: nothing is allocated, only headers are read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import OptionError, PlacementError
from gpt2sdk.loading.device_memory import check_devices, device_name, size_text
from gpt2sdk.loading.least import least, size_to_ask
from gpt2sdk.loading.load_settings import LoadSettings, MaxMemory
from gpt2sdk.loading.lookup import find_placement, find_quantizer, find_runners, ladder, probe
from gpt2sdk.loading.opening import OpenedModel
from gpt2sdk.loading.plan import LoadPlan
from gpt2sdk.loading.precision import auto_dtype, is_here, parse_dtype
from gpt2sdk.loading.recipe import Recipe, plan_recipe
from gpt2sdk.mention import argument
from gpt2sdk.plugins.registry import Registry

_LARGE = (4096, 4096)


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans an opened model for a device.

    Attributes:
        opened: The model.
        settings: What was asked for.
        registry: Where quantizers and placements are looked for.
        device: Where it runs.
    """

    opened: OpenedModel
    settings: LoadSettings
    registry: Registry
    device: torch.device

    def plan(self) -> LoadPlan:
        """Follow the settings, or find the best that fits.

        Raises:
            OptionError: If a setting makes no sense.
            PlacementError: If the model does not fit; the message says what would.
        """
        if self.settings.quantization == "auto" and self.opened.quantizer is None:
            return self._best()
        asked = self._asked()
        if asked.quantizer is not None:
            # That it does not work is no lack of memory.
            probe(asked.quantizer, self.device)
        try:
            plan = self.follow(asked)
        except PlacementError as error:
            if error.out_of_memory:
                raise PlacementError(f"{error}; {self._remedy()}", out_of_memory=True) from error
            raise
        if plan.shortfall:
            message = f"{plan.name} does not fit: {plan.shortfall}; {self._remedy()}"
            raise PlacementError(message, out_of_memory=True)
        return plan

    def follow(self, recipe: Recipe) -> LoadPlan:
        """Plan one recipe, whether it fits or not."""
        return plan_recipe(self.opened, recipe, self.device, self.settings.max_memory)

    def _asked(self) -> Recipe:
        dtype, why = self._dtype()
        return Recipe(dtype, self._quantizer(), self._placement(), why)

    def _dtype(self) -> tuple[torch.dtype, tuple[str, ...]]:
        asked = parse_dtype(self.settings.dtype)
        return (asked, ()) if asked else auto_dtype(self.opened.checkpoint, self.device)

    def _placement(self) -> Placement | None:
        asked = self.settings.placement
        if asked is None:
            return None
        found = find_placement(asked, self.registry)
        if why := self.opened.architecture.why_on_one_device():
            kind = self.opened.architecture.name
            raise OptionError(
                f"{argument('placement', found.name)}: {self.opened.source.name} is a {kind}, "
                f"{why}: leave it out",
                name="placement",
                value=asked,
            )
        return found

    def _quantizer(self) -> Quantizer | None:
        asked, stored = self.settings.quantization, self.opened.quantizer
        if asked is None or asked == "auto":
            return stored
        found = find_quantizer(asked, self.registry)
        if stored is None:
            return found
        same = type(found) is type(stored) if isinstance(asked, str) else found == stored
        if not same:
            raise OptionError(
                f"{argument('quantization', found.name)}: the weights of "
                f"{self.opened.source.name} are quantized already, as {stored!r}: leave it "
                "out, or load the model that they were made from",
                name="quantization",
                value=asked,
                expected=stored.name,
            )
        return stored

    def _best(self) -> LoadPlan:
        """Take the first of the candidates, which come in order of quality, that fits."""
        tried: list[str] = []
        problems: list[PlacementError] = []
        for recipe in self.candidates():
            plan = self.attempt(recipe)
            if isinstance(plan, LoadPlan):
                passed = f"; too large: {'; '.join(tried)}" if tried else ""
                note = f"{argument('quantization', 'auto')} chose {recipe.text}{passed}"
                return replace(plan, notes=(*plan.notes, note))
            tried.append(f"{recipe.text} ({plan})")
            problems.append(plan)
        if not any(problem.out_of_memory for problem in problems):
            raise problems[0]
        message = f"{self.opened.source.name} does not fit in any of {len(tried)} ways"
        raise PlacementError(f"{message}; {self.least()}", out_of_memory=True)

    def candidates(self) -> Iterator[Recipe]:
        """Yield recipes in order of quality: first on one device, then with a placement.

        With a placement, what is stored in more than 16 bits comes in 16: more would pass slower.
        """
        placement = self._placement()
        formats = list(self._formats())
        yield from (replace(each, placement=placement) for each in formats)
        placeable = not self.opened.architecture.why_on_one_device()
        if placement is None and placeable and self.registry.named("auto", Placement):
            placement = find_placement("auto", self.registry)
            shorter = formats[1:] if self._shortens(formats[0].dtype) else formats
            yield from (replace(each, placement=placement) for each in shorter)

    def _formats(self) -> Iterator[Recipe]:
        """Yield recipes without a placement in order of quality.

        Beside a quantizer, the rest is in bfloat16 only where that is computed fast.
        """
        dtype, why = self._dtype()
        shortens, stored = self._shortens(dtype), self.opened.quantizer
        fast = self._is_fast(torch.bfloat16)
        ladders = [quantizer for quantizer, _ in ladder(self.registry, self.device)]
        for quantizer in [None, *ladders] if stored is None else [stored]:
            yield Recipe(dtype, quantizer, None, why)
            if shortens and (quantizer is None or fast):
                yield Recipe(torch.bfloat16, quantizer, None)

    def _is_fast(self, dtype: torch.dtype) -> bool:
        """Whether what is not quantized computes fast in a short type.

        A GPU does in any. A CPU does where the architecture would pack its matrices if they were
        large: of small ones, either type is fast enough.
        """
        architecture = self.opened.architecture
        return self.device.type != "cpu" or any(
            architecture.packs(replace(matrix, shape=_LARGE), dtype, self.device)
            for matrix in architecture.matrices(dtype)
        )

    def _shortens(self, dtype: torch.dtype) -> bool:
        """Whether bfloat16 may be taken instead of a type."""
        asked = parse_dtype(self.settings.dtype)
        return asked is None and dtype.itemsize > torch.bfloat16.itemsize

    def attempt(self, recipe: Recipe) -> LoadPlan | PlacementError:
        """Return the plan of a recipe that fits, or why it does not."""
        try:
            plan = self.follow(recipe)
        except PlacementError as error:
            return error
        if not plan.shortfall:
            return plan
        most = size_text(max(each.peak for each in plan.devices.values()))
        return PlacementError(most, out_of_memory=True)

    def _remedy(self) -> str:
        """Say what would fit instead, or how much memory would do."""
        return self._fitting() or replace(self, settings=self._any_type()).least()

    def least(self) -> str:
        """Say which candidate needs the least memory of the main device, and how much."""
        best: tuple[Recipe, int] | None = None
        # The shortest come last; whoever needs more than those is passed by at once.
        for recipe in reversed(list(self.candidates())):
            need = self._need(recipe, best and best[1])
            if need is not None and (best is None or need <= best[1]):
                best = recipe, need
        if best is None:
            return f"allow other devices more memory with {argument('max_memory')}"
        recipe, need = best
        how = _advice(recipe, restored=self.opened.quantizer is not None)
        size = argument("max_memory", self._memory(size_to_ask(need)))
        return f"the least that would do is {size} with {how}{self._further()}"

    def _further(self) -> str:
        """Say which plugins could do with less."""
        hints = ""
        if self.opened.quantizer is None and not self.registry.offers(Quantizer):
            hints += f"; {argument('quantization')} needs less, with gpt2sdk-quantization"
        placeable = not self.opened.architecture.why_on_one_device()
        if placeable and not self.registry.named("auto", Placement):
            hints += f"; {argument('placement', 'auto')} needs less, with gpt2sdk-accelerate"
        return hints

    def _need(self, recipe: Recipe, below: int | None) -> int | None:
        """Return how much memory of the main device a recipe needs; `None` for more than `below`.

        What others need is not asked: they keep what they were given.
        """
        if recipe.placement is None or below is None:
            try:
                alone = self.follow(replace(recipe, placement=None))
            except PlacementError:
                return None
            below = max(each.peak for each in alone.devices.values())
        if recipe.placement is None:
            return below

        def fits(nbytes: int) -> bool:
            settings = replace(self.settings, max_memory=self._memory(nbytes))
            return isinstance(replace(self, settings=settings).attempt(recipe), LoadPlan)

        return least(fits, below)

    def _memory(self, size: int | str) -> MaxMemory | int | str:
        """Return what devices may hold if the main one may hold so much."""
        asked = self.settings.max_memory
        if not isinstance(asked, Mapping):
            return size
        main = device_name(self.device)
        return {key: size if _is_named(main, key) else given for key, given in asked.items()}

    def _any_type(self) -> LoadSettings:
        return replace(self.settings, dtype="auto")

    def _fitting(self) -> str:
        """Say what would fit instead; empty if nothing that is installed does."""
        asked = self._asked()
        placements = dict.fromkeys([self.settings.placement is not None, False])
        for placed in placements:
            settings = self._any_type()
            smaller = replace(
                self, settings=settings if placed else replace(settings, placement=None)
            )
            for recipe in smaller.candidates():
                plan = smaller.attempt(recipe)
                if isinstance(plan, LoadPlan) and recipe.text != asked.text:
                    advice = _advice(recipe, restored=self.opened.quantizer is not None)
                    return f"{advice} would fit ({size_text(plan.peak_nbytes)})"
        return ""


def plan_opened(
    opened: OpenedModel, settings: LoadSettings, registry: Registry, device: torch.device
) -> LoadPlan:
    """Decide how an opened model is loaded.

    Args:
        opened: The model.
        settings: What was asked for.
        registry: Where quantizers and placements are looked for.
        device: Where it runs; it need not be here.

    Raises:
        OptionError: If a setting makes no sense.
        PlacementError: If the model does not fit; the message says what would.
    """
    placed = settings.placement is not None or settings.quantization == "auto"
    check_devices(settings.max_memory, device, placed=placed)
    runners = find_runners(settings.runner, registry)
    able = tuple(each.name for each in runners if each.probe(None, device) is None)
    plan = replace(Planner(opened, settings, registry, device).plan(), runners=able)
    names = [name for name in plan.devices if name != "disk"]
    absent = [name for name in names if not is_here(torch.device(name))]
    if not absent:
        return plan
    note = f"{' and '.join(absent)} cannot be used here: this is a plan for another machine"
    return replace(plan, notes=(*plan.notes, note))


def _is_named(device: str, key: object) -> bool:
    """Whether a key of a mapping means a device; a number is a GPU's.

    >>> _is_named("cuda:0", 0), _is_named("cuda:0", "cuda"), _is_named("cpu", "cuda:0")
    (True, True, False)
    """
    return device_name(torch.device(f"cuda:{key}" if isinstance(key, int) else str(key))) == device


def _advice(recipe: Recipe, *, restored: bool) -> str:
    """Say what to ask for.

    >>> _advice(Recipe(torch.bfloat16, None, None), restored=False)
    "dtype='bfloat16'"
    """
    words = [argument("dtype", str(recipe.dtype).removeprefix("torch."))]
    if recipe.quantizer is not None and not restored:
        beside = words if recipe.dtype == torch.bfloat16 else []
        words = [argument("quantization", recipe.quantizer.name), *beside]
    if recipe.placement is not None:
        words.append(argument("placement", recipe.placement.name))
    return " with ".join(words)
