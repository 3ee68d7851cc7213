"""A model's adapters: added, loaded, scaled, merged and taken off."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.adapter_files import read_adapter, write_adapter
from gpt2sdk_train.lora import AdaptedLinear, Base, LoRA, LowRank

# The model's attribute with its layers as they were before merging, by module.
_UNMERGED = "_unmerged_layers"


class Adapters:
    """The adapters of one model. Several act together: what they add is summed.

    Adapters live in the model's modules, so generation, training and scoring use them without
    further ado. Saving the model itself needs them merged or removed. Every `Adapters` of one
    model sees the same.

    Example:
        >>> from gpt2sdk import GPT2Config
        >>> model = GPT2(GPT2Config(vocab_size=7, n_positions=8, n_embd=4, n_layer=2, n_head=2))
        >>> adapters = Adapters(model)
        >>> adapters.add("tone", LoRA(rank=2))
        >>> adapters.names
        ('tone',)
        >>> adapters.scale("tone", 0.5)
        >>> adapters.merge()  # plain matrices: as fast as without adapters
        >>> adapters.unmerge()
        >>> adapters.remove("tone")
        >>> adapters.names
        ()
    """

    def __init__(self, model: GPT2) -> None:
        self._model = model
        # On the model, so that whoever asks for its adapters sees the same.
        self._unmerged: dict[str, AdaptedLinear] = vars(model).setdefault(_UNMERGED, {})

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters there are, in the order in which they were added."""
        found = {name: None for _, layer in self._every() for name in layer.adapters}
        return tuple(found)

    @property
    def trained(self) -> str:
        """The adapter that training changes: the one whose values need gradients.

        Raises:
            OptionError: If none or several of them do.
        """
        found = [
            name
            for name in self.names
            if any(p.requires_grad for part in self.parts(name).values() for p in part.parameters())
        ]
        if len(found) != 1:
            raise OptionError(
                "expected one adapter to train: the one that came last by `add`, or by `load` with "
                f"trainable=True; set to be trained: {', '.join(found) or 'none'}",
                name="adapter",
            )
        return found[0]

    @property
    def merged(self) -> bool:
        """Whether the adapters are in the matrices for now."""
        return bool(self._unmerged)

    def add(self, name: str, lora: LoRA | None = None, *, seed: int = 0) -> None:
        """Add a fresh adapter, which changes nothing until it is trained.

        It alone is trained from then on: everything else of the model stays.

        Args:
            name: What it is called here; letters, digits, `_` and `-`.
            lora: Its size and targets.
            seed: What its first values are drawn with.

        Raises:
            OptionError: If the name is taken, or a pattern matches no matrix.
        """
        lora = lora or LoRA()
        self._check_new(name)
        layers = self._targets(lora.targets)
        self._freeze()
        generator = torch.Generator().manual_seed(seed)
        for path, layer in layers:
            part = LowRank(_base(layer), lora)
            part.initialize(generator)
            self._attach(path, layer, name, part)

    def load(
        self,
        folder: str | Path,
        name: str | None = None,
        *,
        scale: float = 1.0,
        trainable: bool = False,
    ) -> None:
        """Add an adapter from a folder that PEFT or `save` wrote.

        Args:
            folder: With `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
            name: What it is called here; the folder's name by default.
            scale: How strongly it acts: any finite number.
            trainable: Train it further: it alone, as after `add`.

        Raises:
            CheckpointError: If the files cannot be read, ask for more than LoRA on matrices, or
                do not fit the model.
            OptionError: If the name is taken, or the scale is no finite number.
        """
        scale = _checked_scale(scale)
        name = name or Path(folder).resolve().name
        self._check_new(name)
        layers = dict(self._linears())
        bases = {path: _base(layer) for path, layer in layers.items()}
        shapes = {path: (base.in_features, base.out_features) for path, base in bases.items()}
        read = read_adapter(folder, shapes)
        if trainable:
            self._freeze()
        for path, (lora, down, up) in read.items():
            part = LowRank(_base(layers[path]), lora)
            part.down.data.copy_(down)
            part.up.data.copy_(up)
            part.scale = scale
            self._attach(path, layers[path], name, part.requires_grad_(requires_grad=trainable))

    def save(self, name: str, folder: str | Path) -> None:
        """Write an adapter in PEFT's format. Its scale is not kept.

        Raises:
            CheckpointError: If the files cannot be written; older ones are then intact.
            OptionError: If there is no such adapter.
        """
        parts = {
            path: (part.lora, part.down.data, part.up.data)
            for path, part in self.parts(name).items()
        }
        write_adapter(parts, folder, layers=self._model.layers)

    def scale(self, name: str, scale: float) -> None:
        """Set how strongly an adapter acts: 0 is not at all, 1 as it was trained.

        Raises:
            OptionError: If there is no such adapter, they are merged, or the scale is no finite
                number.
        """
        self._refuse_merged("scale")
        scale = _checked_scale(scale)
        for part in self.parts(name).values():
            part.scale = scale

    def remove(self, name: str) -> None:
        """Take an adapter off; layers without any are again what they were.

        Raises:
            OptionError: If there is no such adapter, or they are merged.
        """
        self._refuse_merged("remove")
        self.parts(name)
        for path, layer in self._layers():
            if name in layer.adapters:
                del layer.adapters[name]
            if not layer.adapters:
                self._put(path, layer.base)

    def merge(self) -> None:
        """Add the adapters into the matrices: nothing then costs more than without them.

        The matrices as they were are kept with the model, for `unmerge`.

        Raises:
            OptionError: If the model is quantized.
        """
        merged = {path: (layer, layer.merged()) for path, layer in self._layers()}
        for path, (layer, plain) in merged.items():
            self._unmerged[path] = layer
            self._put(path, plain)

    def unmerge(self) -> None:
        """Put the matrices and adapters back, bit for bit."""
        for path, layer in self._unmerged.items():
            layer.to(self._model.get_submodule(path).get_parameter("weight").device)
            self._put(path, layer.train(self._model.training))
        self._unmerged.clear()

    def parts(self, name: str) -> dict[str, LowRank]:
        """Return an adapter's part in each matrix, by the matrix's module.

        Raises:
            OptionError: If there is no such adapter.
        """
        found = {path: part for path, layer in self._every() if (part := layer.part(name))}
        if not found:
            known = ", ".join(self.names) or "none"
            raise _bad("adapter", name, f"one of those added: {known}")
        return found

    def check_trainable(self) -> None:
        """Make sure that training would change what is asked for.

        Raises:
            OptionError: If the adapters are merged: what then were trained is neither the model
                nor an adapter.
        """
        if self.merged:
            raise OptionError(
                "the adapters are merged: unmerge() to train one, or save the model and load that "
                "folder to train the model with them in it",
                name="adapter",
            )

    def _freeze(self) -> None:
        self._model.requires_grad_(requires_grad=False)

    def _every(self) -> list[tuple[str, AdaptedLinear]]:
        """The layers with adapters, merged or not."""
        return [*self._layers(), *self._unmerged.items()]

    def _layers(self) -> Iterator[tuple[str, AdaptedLinear]]:
        for path, module in list(self._model.named_modules()):
            if isinstance(module, AdaptedLinear):
                yield path, module

    def _linears(self) -> Iterator[tuple[str, Base | AdaptedLinear]]:
        """Yield what may have an adapter: the layers that have one, and all that may get one."""
        adapted = ""
        for path, module in list(self._model.named_modules()):
            if isinstance(module, AdaptedLinear):
                adapted = f"{path}."
                yield path, module
            elif isinstance(module, Base) and not (adapted and path.startswith(adapted)):
                yield path, module

    def _targets(self, patterns: tuple[str, ...]) -> list[tuple[str, Base | AdaptedLinear]]:
        layers = list(self._linears())
        for pattern in patterns:
            if not any(fnmatchcase(path, pattern) for path, _ in layers):
                raise _bad(
                    "targets",
                    pattern,
                    f"a pattern of matrices, which are called like {layers[0][0]}",
                )
        return [
            (path, layer)
            for path, layer in layers
            if any(fnmatchcase(path, pattern) for pattern in patterns)
        ]

    def _attach(self, path: str, layer: Base | AdaptedLinear, name: str, part: LowRank) -> None:
        if isinstance(layer, Base):
            layer = AdaptedLinear(layer).train(layer.training)
            self._put(path, layer)
        layer.adapters[name] = part.train(layer.training)

    def _put(self, path: str, module: nn.Module) -> None:
        self._model.set_submodule(path, module)

    def _check_new(self, name: str) -> None:
        self._refuse_merged("add")
        if not name.replace("_", "").replace("-", "").isalnum():
            raise _bad("adapter", name, "a name of letters, digits, `_` and `-`")
        if name in self.names:
            raise _bad("adapter", name, f"another name than those there are: {self.names}")

    def _refuse_merged(self, verb: str) -> None:
        if self._unmerged:
            raise OptionError(f"the adapters are merged: unmerge() before you {verb} one")


def _base(layer: Base | AdaptedLinear) -> Base:
    return layer.base if isinstance(layer, AdaptedLinear) else layer


def _checked_scale(scale: object) -> float:
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise _bad("scale", scale, "a finite number, such as 1.0")
    return float(scale)


def _bad(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
