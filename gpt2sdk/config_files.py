"""What a model's files say that it is, as they say it: nobody's sizes yet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gpt2sdk.downloads import failed_download
from gpt2sdk.errors import CheckpointError
from gpt2sdk.mention import argument

CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
# What PEFT calls the config of an adapter, which is no model by itself.
_ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """What a model's files say of it, whatever architecture it has.

    Attributes:
        values: What `config.json` holds, or what another format says in its words.
        path: Where that was read, for messages.
        generation: What the `generation_config.json` beside it holds; nothing if there is none.
        model_args: What a trainer wrote beside the tensors, into the weight file, where there is no
            `config.json`: then `values` are empty. `None` anywhere else.
    """

    values: Mapping[str, object]
    path: Path
    generation: Mapping[str, object] = field(default_factory=dict)
    model_args: Mapping[str, object] | None = None

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Read `config.json` of a folder, and the `generation_config.json` beside it.

        Raises:
            CheckpointError: If there is no `config.json`, or a file is not JSON.
        """
        path = Path(folder) / CONFIG_FILE
        if not path.is_file() and (path.parent / _ADAPTER_CONFIG).is_file():
            base = read_json(path.parent / _ADAPTER_CONFIG).get("base_model_name_or_path")
            raise CheckpointError(
                f"{folder}: expected a model, found an adapter of {base or 'one'}: load that with "
                f"{argument('adapter', str(folder))}, or merge both: gpt2sdk merge "
                f"{base or 'MODEL'} {folder} NEW_FOLDER (with the plugin gpt2sdk-train)",
                path=folder,
            )
        if not path.is_file():
            raise CheckpointError(
                f"{folder}: expected a {CONFIG_FILE} in the folder, found none", path=folder
            )
        values = read_json(path)
        generation = Path(folder) / GENERATION_CONFIG_FILE
        return cls(values, path, read_json(generation) if generation.is_file() else {})


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object, with a byte order mark before it or without.

    Raises:
        CheckpointError: If the file cannot be read, or does not hold a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}", path=path) from error
    except ValueError as error:
        reason = failed_download(path, text=True) or str(error)
        raise CheckpointError(f"{path}: expected JSON: {reason}", path=path) from error
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object, found a {type(values).__name__}", path=path
        )
    return values
