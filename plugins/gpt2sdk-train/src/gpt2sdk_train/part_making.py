"""An adapter's parts, made of what its files hold."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from gpt2sdk import Quantized
from gpt2sdk_train.adapter_config import AdapterConfig
from gpt2sdk_train.adapter_files import ROWS, AdapterFiles
from gpt2sdk_train.adapter_part import AdapterPart, Several, matrix
from gpt2sdk_train.adapter_reading import Found, hold, is_replaced
from gpt2sdk_train.low_rank import LowRank, LowRankTable
from gpt2sdk_train.module_layout import ModuleLayout
from gpt2sdk_train.new_values import NewRows, NewValues
from gpt2sdk_train.sites import Site, find_sites

# Rounding to few bits moves a table less than this, in parts of its length.
_ANOTHER = 0.25


def make_parts(files: AdapterFiles, layout: ModuleLayout) -> dict[str, AdapterPart]:
    """Return an adapter's part in each module, by module; nothing of the model is changed.

    Raises:
        CheckpointError: If the adapter does not hold what its config asks for, or does not fit.
    """
    sites = find_sites(layout)
    tied = layout.tied
    made: dict[str, list[AdapterPart]] = {}
    for path, found in hold(files, layout, sites).items():
        device = layout.device(path, sites[path].base)
        tensors = {
            name: each.to(device, torch.float32, copy=True) for name, each in found.tensors.items()
        }
        parts = _parts(files, sites[path], tensors, found)
        made.setdefault(path, []).extend(parts)
    for path, values in _copies(files, layout, sites):
        device = layout.device(path, sites[path].base)
        copy = NewValues(
            values.to(device, torch.float32, copy=True), None, tied=tied and path == layout.table
        )
        if files.config.dora and path in made:
            raise files.config.error(f"it has DoRA of another {path} than this model's")
        made.setdefault(path, []).append(copy)
    return {path: parts[0] if len(parts) == 1 else Several(parts) for path, parts in made.items()}


def file_tensors(part: AdapterPart, site: Site) -> dict[str, Tensor]:
    """Return a part's tensors as files have them."""
    stored = part.stored()
    if site.transposed and "weight" in stored:
        stored["weight"] = stored["weight"].T
    return stored


def _parts(
    files: AdapterFiles, site: Site, tensors: Mapping[str, Tensor], found: Found
) -> Iterator[AdapterPart]:
    config = files.config
    if any(suffix.startswith("lora_") for suffix in tensors):
        yield _low_rank(config, files.name_of(site.path), site, tensors)
    if "weight" in tensors or "bias" in tensors:
        yield NewValues(tensors.get("weight"), tensors.get("bias"))
    if ROWS in tensors:
        entries = torch.tensor(found.entries, device=tensors[ROWS].device)
        yield NewRows(entries, tensors[ROWS])


def _low_rank(
    config: AdapterConfig, name: str, site: Site, tensors: Mapping[str, Tensor]
) -> AdapterPart:
    table = site.kind == "table"
    down = tensors["lora_embedding_A" if table else "lora_A.weight"]
    lora = config.lora(name, site.path, len(down))
    up = tensors["lora_embedding_B" if table else "lora_B.weight"]
    if up.shape[1] != len(down):
        raise config.error(
            f"{site.path}: the ranks of its two matrices are {len(down)} and {up.shape[1]}"
        )
    part: AdapterPart
    if table:
        part = LowRankTable(lora, site.inputs, site.outputs, down.device)
    else:
        shifted = "lora_B.bias" in tensors
        part = LowRank(lora, site.inputs, site.outputs, down.device, shifted=shifted)
    part.restore(tensors)
    return part


def _copies(
    files: AdapterFiles, layout: ModuleLayout, sites: Mapping[str, Site]
) -> Iterator[tuple[str, Tensor]]:
    """Yield tables that PEFT saved along with an adapter, where they are not the model's own.

    Of a tied model, table and head are one, and PEFT loads either into both; unless the adapter
    has a table of its own, which PEFT puts beside that one.
    """
    table, tied = layout.table, layout.tied
    both = [path for path in (table, layout.head) if path in sites]
    own = {path for path in both if is_replaced(files, path)}
    seen = set()
    for path in both:
        place = table if tied and table not in own and table in sites else path
        values = files.tensors.get(f"{path}.weight")
        if values is None or path in own or place in seen:
            continue
        seen.add(place)
        if not _same(values, sites[table if tied and table in sites else path].base):
            yield place, values


@torch.no_grad()
def _same(values: Tensor, base: nn.Module) -> bool:
    """Whether values are a module's own, but for rounding to its type."""
    own = matrix(base)
    given = values.to(own.device)
    if isinstance(base, Quantized):
        given = given.float()
        return bool((given - own).norm() <= _ANOTHER * own.norm())
    return torch.equal(given.to(own.dtype), own)
