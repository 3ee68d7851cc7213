"""A model's adapters: added, loaded, scaled, merged and taken off."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from gpt2sdk import CheckpointError, OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.adapted import Adapted, adapt, check_mergeable, separate_head
from gpt2sdk_train.adapter_files import make_config, read_files, write_files
from gpt2sdk_train.adapter_part import AdapterPart
from gpt2sdk_train.adapter_state import AdapterState
from gpt2sdk_train.lora import LoRA
from gpt2sdk_train.low_rank import LowRank
from gpt2sdk_train.module_layout import AdaptableLM, ModuleLayout
from gpt2sdk_train.part_making import file_tensors, make_parts
from gpt2sdk_train.sites import Site, find_sites


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

    def __init__(self, model: AdaptableLM) -> None:
        self._model, self._layout = model, ModuleLayout.of(model)
        self._root = self._layout.root
        # On the model, so that whoever asks for its adapters sees the same.
        self._state = AdapterState.of(model)

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters there are, in the order in which they were added."""
        return tuple({name: None for _, layer in self._every() for name in layer.parts})

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
        return bool(self._state.unmerged)

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
        sites = self._targets(lora)
        self._freeze()
        generator = torch.Generator().manual_seed(seed)
        for site in sites:
            device = self._layout.device(site.path, site.base)
            part = LowRank(lora, site.inputs, site.outputs, device)
            part.initialize(generator, site.base)
            self._attach(site, name, part)

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
        files = read_files(folder, self._layout)
        parts = make_parts(files, self._layout)
        if trainable:
            self._freeze()
        sites = find_sites(self._layout)
        for path, part in parts.items():
            part.scale = scale
            self._attach(sites[path], name, part.requires_grad_(requires_grad=trainable))
        self._state.read[name] = files.without_tensors()

    def restore(self, name: str, folder: str | Path) -> None:
        """Give an adapter the values that a folder has of it.

        Args:
            name: The adapter.
            folder: Written by `save`.

        Raises:
            CheckpointError: If the files cannot be read, or are those of another adapter.
            OptionError: If there is no such adapter.
        """
        parts = self.parts(name)
        found = make_parts(read_files(folder, self._layout), self._layout)
        for path, part in parts.items():
            if path not in found or found[path].shapes != part.shapes:
                raise CheckpointError(
                    f"{folder}: expected the adapter that is here, but {path} is another's",
                    path=folder,
                )
        for path, part in parts.items():
            part.restore(found[path].stored())

    def save(self, name: str, folder: str | Path) -> None:
        """Write an adapter in PEFT's format. Its scale is not kept.

        Raises:
            CheckpointError: If the files cannot be written; older ones are then intact.
            OptionError: If there is no such adapter.
        """
        parts = self.parts(name)
        read = self._state.read.get(name)
        if read is None:
            sizes = {path: part.lora for path, part in parts.items() if isinstance(part, LowRank)}
            config, trunk = make_config(sizes, self._layout), self._layout.trunk
        else:
            config, trunk = dict(read.config.values), read.trunk
        tensors = {
            path: file_tensors(part, site)
            for path, site in find_sites(self._layout).items()
            if (part := parts.get(path))
        }
        write_files(tensors, config, folder, self._layout, trunk)

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
        self._state.read.pop(name, None)
        self._pack()

    def merge(self) -> None:
        """Add the adapters into the matrices: nothing then costs more than without them.

        The modules as they were are kept with the model, for `unmerge`. A tied model whose
        adapters change the table for its input only, or the head only, has a head of its own
        meanwhile.

        Raises:
            OptionError: If the model is quantized.
        """
        if self.merged:
            return
        model, state, found, head = self._model, self._state, dict(self._layers()), None
        if isinstance(model, GPT2):
            head = separate_head(model)
        else:
            check_mergeable(self._layout)
        if head is not None:
            found.pop(self._layout.head, None)
        made = {path: layer.merged() for path, layer in found.items()}
        if head is not None and isinstance(model, GPT2):
            made[self._layout.head] = head
            state.config = model.config
            model.config = model.config.model_copy(update={"tie_word_embeddings": False})
        for path, merged in made.items():
            state.unmerged[path] = self._root.get_submodule(path)
            self._put(path, merged)
        self._pack()

    def unmerge(self) -> None:
        """Put the matrices and adapters back, bit for bit."""
        model, state = self._model, self._state
        for path, layer in state.unmerged.items():
            layer.to(self._root.get_submodule(path).get_parameter("weight").device)
            self._put(path, layer.train(self._root.training))
        if isinstance(model, GPT2):
            model.config = state.config or model.config
        state.unmerged.clear()
        state.config = None
        self._pack()

    def parts(self, name: str) -> dict[str, AdapterPart]:
        """Return an adapter's part in each module, by the module's name.

        Raises:
            OptionError: If there is no such adapter.
        """
        found = {path: part for path, layer in self._every() if (part := layer.parts.get(name))}
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

    def _pack(self) -> None:
        """Hold new matrices as the others; GPT-2 does so by itself when it is scored next."""
        if not (isinstance(self._model, GPT2) or self._root.training):
            self._model.pack()

    def _freeze(self) -> None:
        self._root.requires_grad_(requires_grad=False)

    def _every(self) -> list[tuple[str, Adapted]]:
        """The layers with adapters, merged or not."""
        unmerged = self._state.unmerged.items()
        return [
            *self._layers(),
            *((path, layer) for path, layer in unmerged if isinstance(layer, Adapted)),
        ]

    def _layers(self) -> Iterator[tuple[str, Adapted]]:
        for path, module in list(self._root.named_modules()):
            if isinstance(module, Adapted):
                yield path, module

    def _targets(self, lora: LoRA) -> list[Site]:
        sites = [site for site in find_sites(self._layout).values() if site.kind == "matrix"]
        if self._layout.foreign and "targets" not in lora.model_fields_set:
            return [site for site in sites if site.linear]
        for pattern in lora.targets:
            if not any(fnmatchcase(site.path, pattern) for site in sites):
                past = [each for each in self._layout.read_past if fnmatchcase(each, pattern)]
                why = f"; the network reads {min(past)} past the module" if past else ""
                raise _bad(
                    "targets",
                    pattern,
                    f"a pattern of matrices, which are called like {sites[0].path}{why}",
                )
        return [
            site
            for site in sites
            if any(fnmatchcase(site.path, pattern) for pattern in lora.targets)
        ]

    def _attach(self, site: Site, name: str, part: AdapterPart) -> None:
        layer = site.module if isinstance(site.module, Adapted) else adapt(site.module)
        if layer is not site.module:
            self._put(site.path, layer)
        layer.adapters[name] = part.train(layer.training)

    def _put(self, path: str, module: nn.Module) -> None:
        self._root.set_submodule(path, module)

    def _check_new(self, name: str) -> None:
        self._refuse_merged("add")
        if not name.replace("_", "").replace("-", "").isalnum():
            raise _bad("adapter", name, "a name of letters, digits, `_` and `-`")
        if name in self.names:
            raise _bad("adapter", name, f"another name than those there are: {self.names}")

    def _refuse_merged(self, verb: str) -> None:
        if self.merged:
            raise OptionError(f"the adapters are merged: unmerge() before you {verb} one")


def _checked_scale(scale: object) -> float:
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise _bad("scale", scale, "a finite number, such as 1.0")
    return float(scale)


def _bad(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
