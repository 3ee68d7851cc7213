"""An adapter's tensors, held against its own config and the model that it is put into."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from gpt2sdk import CheckpointError
from gpt2sdk_train.adapter_config import AdapterConfig
from gpt2sdk_train.adapter_files import ROWS, AdapterFiles
from gpt2sdk_train.module_layout import ModuleLayout
from gpt2sdk_train.sites import Site

Shape = tuple[int | None, ...]
"""A tensor's sizes; `None` where the rank decides."""

_BLOCK = re.compile(r"(?:.*?\.)?(\d+)\.")
_MOST = 6
# Matrices whose input is the residual stream.
_READING_THE_STREAM = tuple(
    f"{name}.lora_A.weight"
    for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "q_proj", "k_proj", "v_proj", "up_proj")
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a config asks for in one place.

    Attributes:
        low_rank: The tensors of LoRA, by what follows the module's name; empty for none.
        values: The parameters that are replaced, by name.
        rows: The vectors of entries that are replaced.
    """

    low_rank: Mapping[str, Shape]
    values: Mapping[str, Shape]
    rows: Mapping[str, Shape]

    @property
    def shapes(self) -> dict[str, Shape]:
        """All tensors there have to be."""
        return {**self.low_rank, **self.values, **self.rows}


@dataclass(frozen=True, slots=True)
class Found:
    """What an adapter brings to one place.

    Attributes:
        tensors: Its tensors, by what follows the module's name; matrices `[out, in]`.
        entries: The entries of a table that are replaced.
    """

    tensors: Mapping[str, Tensor]
    entries: tuple[int, ...]


def hold(files: AdapterFiles, layout: ModuleLayout, sites: Mapping[str, Site]) -> dict[str, Found]:
    """Return what an adapter brings to each place.

    Args:
        files: The adapter.
        layout: The model's.
        sites: The model's places.

    Raises:
        CheckpointError: If a tensor is missing that the config asks for, is there though the
            config does not, or has another shape than this model's.
    """
    if layout.foreign:
        _check_places(files, layout, sites)
    expected = {path: _expected(files, layout, site) for path, site in sites.items()}
    wanted = {
        f"{path}.{suffix}": shape
        for path, each in expected.items()
        for suffix, shape in each.shapes.items()
    }
    _check_shapes(files, layout, wanted, sites)
    beyond = set(_along(files, layout, sites))
    missing = [name for name in wanted if name not in files.tensors]
    extra = [name for name in files.tensors if name not in wanted and name not in beyond]
    if missing or extra:
        raise _misfit(files, missing, extra, sites)
    if not wanted:
        raise files.config.error("it adapts none of this model's modules")
    return {
        path: found
        for path, site in sites.items()
        if (found := _found(files, layout, site, expected[path]))
    }


def _check_places(files: AdapterFiles, layout: ModuleLayout, sites: Mapping[str, Site]) -> None:
    """Make sure that an adapter asks for no module that cannot have it.

    Raises:
        CheckpointError: If it does.
    """
    config = files.config
    if config.values.get("target_modules") is None and not config.saved_modules:
        raise config.error("target_modules: expected the names of modules, found none")
    for path in sorted(layout.read_past):
        name = files.name_of(path)
        if config.is_target(name, linear=True) or is_replaced(files, path):
            raise config.error(
                f"an adapter of {path} would do nothing, since the network reads its matrix past "
                "the module: expected it among exclude_modules"
            )
    for path, module in layout.root.named_modules():
        around = any(place == path or place.startswith(f"{path}.") for place in sites)
        inside = any(path.startswith(f"{place}.") for place in sites)
        site = sites.get(path)
        if not path or inside or (around and site is None):
            continue
        refused = site is None or site.kind == "norm"
        if refused and config.is_target(path, linear=False):
            kind = type(module).__name__
            raise config.error(f"target_modules: LoRA of {path}, a {kind}, is not offered")
        if (
            site is None
            and is_replaced(files, path)
            and next(module.parameters(), None) is not None
        ):
            kind = type(module).__name__
            raise config.error(f"modules_to_save: a new {path}, a {kind}, is not offered")


def _expected(files: AdapterFiles, layout: ModuleLayout, site: Site) -> Expected:
    config, name = files.config, files.name_of(site.path)
    low_rank: dict[str, Shape] = {}
    if site.kind != "norm" and config.is_target(name, linear=site.linear):
        low_rank = _low_rank(config, site)
    values: set[str] = set()
    whole = ["weight"] if site.kind in ("table", "head") or not site.biased else ["weight", "bias"]
    if is_replaced(files, site.path):
        values.update(whole)
    if site.biased and (config.biases == "all" or (config.biases == "lora_only" and low_rank)):
        values.add("bias")
    table = layout.table.rpartition(".")[2]
    entries = tuple(config.entries(name, table))
    if entries and site.path == layout.head:
        raise config.error(
            f"trainable_token_indices of {layout.head} are not offered: expected {table}'s"
        )
    if not all(0 <= entry < site.inputs for entry in entries):
        raise config.error(f"trainable_token_indices: expected tokens from 0 to {site.inputs - 1}")
    return Expected(
        low_rank,
        {each: _shape(site, each) for each in sorted(values)},
        {ROWS: (len(entries), site.outputs)} if entries else {},
    )


def _low_rank(config: AdapterConfig, site: Site) -> dict[str, Shape]:
    found: dict[str, Shape]
    if site.kind == "table":
        found = {"lora_embedding_A": (None, site.inputs), "lora_embedding_B": (site.outputs, None)}
    else:
        found = {"lora_A.weight": (None, site.inputs), "lora_B.weight": (site.outputs, None)}
        if config.shifted and not site.biased:
            raise config.error(f"lora_bias is not offered for {site.path}, which has no bias")
        if config.shifted:
            found["lora_B.bias"] = (site.outputs,)
    if config.dora:
        found["lora_magnitude_vector"] = (site.outputs,)
    return found


def _shape(site: Site, parameter: str) -> Shape:
    if parameter == "bias" or site.kind == "norm":
        return (site.outputs,)
    flat = (site.inputs, site.outputs)
    return flat if site.kind == "table" or site.transposed else flat[::-1]


def is_replaced(files: AdapterFiles, path: str) -> bool:
    """Whether a config asks for a module to be replaced as a whole.

    PEFT looks at the ends of names, and takes all that is inside.
    """
    words = files.name_of(path).split(".")
    around = [".".join(words[: end + 1]) for end in range(len(words))]
    return any(name.endswith(module) for name in around for module in files.config.saved_modules)


def _along(files: AdapterFiles, layout: ModuleLayout, sites: Mapping[str, Site]) -> Iterator[str]:
    """Yield copies of table and head, which PEFT saves along with adapters of these."""
    for path in (layout.table, layout.head):
        name = f"{path}.weight"
        tensor = files.tensors.get(name)
        if tensor is not None and path in sites and tuple(tensor.shape) == _flat(sites[path]):
            yield name


def _flat(site: Site) -> tuple[int, int]:
    """Return the sizes of a table or a head, entries first."""
    flat = (site.inputs, site.outputs)
    return flat if site.kind == "table" else flat[::-1]


def _check_shapes(
    files: AdapterFiles,
    layout: ModuleLayout,
    wanted: Mapping[str, Shape],
    sites: Mapping[str, Site],
) -> None:
    known = dict(wanted)
    # PEFT saves these on its own account where a vocabulary grew.
    for path in (layout.table, layout.head):
        if path in sites:
            known.setdefault(f"{path}.weight", _flat(sites[path]))
    wrong = [
        (name, tuple(tensor.shape), shape)
        for name, tensor in files.tensors.items()
        if (shape := known.get(name)) is not None and not _fits(tuple(tensor.shape), shape)
    ]
    if not wrong:
        return
    name, found, shape = wrong[0]
    text = f"{name}: expected {_written(shape)}, found {list(found)}"
    others = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise CheckpointError(
        f"{files.folder}: the adapter does not fit the model{_why(files, layout)}: {text}{others}",
        path=files.folder,
        mismatched=[name for name, _, _ in wrong],
    )


def _why(files: AdapterFiles, layout: ModuleLayout) -> str:
    """Say what sizes of another model the tensors imply."""
    for name, tensor in files.tensors.items():
        shape = tuple(tensor.shape)
        width = _width(name, shape)
        if width is not None and width != layout.width:
            key = layout.width_name
            return f", since it is for {key}={width}, and this one has {key}={layout.width}"
    for name, tensor in files.tensors.items():
        entries = _entries(name, tuple(tensor.shape), layout)
        rows = layout.model.vocab_size
        if entries is not None and entries != rows:
            return (
                f", since its vocabulary was resized to {entries} tokens, and this one has "
                f"{rows}: give it that model, resized likewise and saved with its tokenizer"
            )
    return ""


def _width(name: str, shape: tuple[int, ...]) -> int | None:
    """Return the width that a tensor tells of."""
    if name.endswith(_READING_THE_STREAM):
        return shape[-1]
    if name.endswith(("wte.weight", "lm_head.weight", "embed_tokens.weight")):
        return shape[-1]
    if name.endswith(("mlp.c_proj.lora_B.weight", "lora_embedding_B")):
        return shape[0]
    return None


def _entries(name: str, shape: tuple[int, ...], layout: ModuleLayout) -> int | None:
    table, head = layout.table, layout.head
    if name in (f"{table}.weight", f"{head}.weight", f"{head}.lora_B.weight"):
        return shape[0]
    return shape[-1] if name == f"{table}.lora_embedding_A" else None


def _fits(found: tuple[int, ...], shape: Shape) -> bool:
    return len(found) == len(shape) and all(
        want in (None, have) for have, want in zip(found, shape, strict=True)
    )


def _written(shape: Shape) -> str:
    return f"[{', '.join('rank' if size is None else str(size) for size in shape)}]"


def _misfit(
    files: AdapterFiles, missing: list[str], extra: list[str], sites: Mapping[str, Site]
) -> CheckpointError:
    own = {int(match[1]) for path in sites if (match := _BLOCK.match(path))}
    theirs = {int(match[1]) for name in files.tensors if (match := _BLOCK.match(name))}
    hints = []
    beyond = sorted(theirs - own)
    if beyond:
        hints.append(f"it has blocks up to {beyond[-1]}, the model has {len(own)} blocks")
    absent = sorted({int(match[1]) for name in missing if (match := _BLOCK.match(name))} - theirs)
    if absent:
        blocks = ", ".join(map(str, absent))
        hints.append(
            f"the config asks for all of the model's {len(own)} blocks, and it has none of "
            f"block {blocks}"
            if files.config.values.get("layers_to_transform") is None
            else f"layers_to_transform asks for block {blocks}, and it has nothing of that"
        )
    if any(name.startswith(("score.", "classifier.", "v_head.")) for name in extra):
        hints.append("it is for another task than text")
    cause = f" ({'; '.join(hints)})" if hints else ""
    parts = [
        f"{len(names)} {what}: {_listed(names)}"
        for what, names in (("missing", missing), ("not asked for", extra))
        if names
    ]
    return CheckpointError(
        f"{files.folder}: the adapter's tensors are not those of its config on this model{cause}; "
        f"{'; '.join(parts)}",
        path=files.folder,
        missing=missing,
        unexpected=[files.keys[name] for name in extra],
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return shown if len(names) <= _MOST else f"{shown} and {len(names) - _MOST} more"


def _found(
    files: AdapterFiles, layout: ModuleLayout, site: Site, expected: Expected
) -> Found | None:
    prefix = f"{site.path}."
    tensors = {
        suffix: files.tensors[prefix + suffix].T
        if site.transposed and suffix == "weight"
        else files.tensors[prefix + suffix]
        for suffix in expected.shapes
    }
    table = layout.table.rpartition(".")[2]
    entries = tuple(files.config.entries(files.name_of(site.path), table))
    return Found(tensors, entries) if tensors else None
