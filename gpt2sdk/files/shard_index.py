"""The index of a checkpoint in several files: which tensor lies in which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpt2sdk.config_files import read_json
from gpt2sdk.errors import CheckpointError, listing


@dataclass(frozen=True, slots=True)
class Shards:
    """Weight files that belong together.

    Attributes:
        path: What to name in messages: the index, or the only file.
        files: The files.
        chosen: The file of each tensor that the index lists.
    """

    path: Path
    files: tuple[Path, ...]
    chosen: Mapping[str, Path] = field(default_factory=dict)

    def place(self, name: str, file: Path, places: Mapping[str, Path]) -> Path:
        """Return where a tensor is read from that was found in one more file.

        Args:
            name: The tensor.
            file: Where it was found.
            places: Where those were found that came before.

        Raises:
            CheckpointError: If it is in two files, and the index chooses neither.
        """
        before = places.get(name)
        if before is None or self.chosen.get(name) == file:
            return file
        if self.chosen.get(name) == before:
            return before
        raise CheckpointError(
            f"{file}: {name} is also in {before.name}, and {self.path.name} chooses neither",
            path=file,
        )


def read_index(index: Path) -> Shards:
    """Read which files an index names; each must lie beside it.

    Raises:
        CheckpointError: If the index makes no sense, or a shard is absent.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: expected a weight_map that names the shards", path=index)
    chosen = {str(name): str(shard) for name, shard in weight_map.items()}
    names = sorted(set(chosen.values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(
            f"{index}: expected shards beside the index, found {listing(outside)}", path=index
        )
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise CheckpointError(
            f"{index}: shards are absent, download them again: {listing(absent)}", path=index
        )
    return Shards(
        index,
        tuple(index.parent / name for name in names),
        {name: index.parent / shard for name, shard in chosen.items()},
    )
