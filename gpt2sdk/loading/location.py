"""From a name to a model's files: an installed source, a local folder, or the hub."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from gpt2sdk.components.weights import ModelSource
from gpt2sdk.config_files import CONFIG_FILE, GENERATION_CONFIG_FILE
from gpt2sdk.errors import CheckpointError, PluginConflictError, PluginContractError, listing
from gpt2sdk.mention import argument
from gpt2sdk.tokenizer.tokenizer_files import CHAT_TEMPLATES, TOKENIZER_FILES

_SMALL_FILES = (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    *TOKENIZER_FILES,
    f"{CHAT_TEMPLATES}/*.jinja",
    "*.model",
)
# Of these kinds of weights, only the first that a repository has is fetched.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model came from.

    Attributes:
        name: What was asked for.
        kind: A plugin's `source`, a local `folder`, or the `hub`.
        path: The local folder (or weight file) that was read.
        revision: The commit, for the hub.
    """

    name: str
    kind: Literal["source", "folder", "hub"]
    path: Path
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Hub:
    """How to reach the Hugging Face hub.

    Attributes:
        revision: A branch, tag or commit; the main branch by default.
        token: For private and gated models; `True` takes the stored one, `False` none.
        cache_dir: Where downloads are kept; the user's usual cache by default.
        local_files_only: Never go online.
        endpoint: Another address of the hub.
    """

    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    endpoint: str | None = None


def locate(
    name: str | Path, *, hub: Hub | None = None, sources: Sequence[ModelSource] = ()
) -> Provenance:
    """Find a model's folder: ask the sources, then look for a local one, then ask the hub.

    Raises:
        CheckpointError: If nobody has it; the message says what was tried.
        PluginConflictError: If two sources claim the name.
        PluginContractError: If a source fails, or names a folder that is not there.
    """
    found = [(source, path) for source in sources if (path := _ask(source, str(name)))]
    if len(found) > 1:
        names = listing([source.name for source, _ in found])
        raise PluginConflictError(f"{name}: several model sources claim this name: {names}")
    if found:
        return Provenance(str(name), "source", found[0][1])
    path = Path(name).expanduser()
    if path.exists():
        return Provenance(str(name), "folder", path)
    known = sorted(known for source in sources for known in source.names())
    near = get_close_matches(str(name), known, n=1, cutoff=0.8)
    has = f"did you mean {near[0]}?" if near else f"they have: {listing(known) or 'none'}"
    tried = f"no model source has it ({has}), no folder {path}"
    if isinstance(name, Path) or not _may_be_hub_id(name):
        raise CheckpointError(f"{name}: not found: {tried}, and it is no hub id", path=path)
    folder = _fetch(name, hub or Hub(), tried)
    return Provenance(name, "hub", folder, folder.name)


def _ask(source: ModelSource, name: str) -> Path | None:
    """Ask a plugin; whatever it does wrong carries its name."""
    try:
        path = source.resolve(name)
    except Exception as error:
        raise PluginContractError(
            f"the model source {source.name} failed on {name}: {error}", plugin=source.name
        ) from error
    if path is None or (isinstance(path, Path) and path.exists()):
        return path
    raise PluginContractError(
        f"the model source {source.name} gave {path!r} for {name}: expected an existing folder",
        plugin=source.name,
    )


def _may_be_hub_id(name: str) -> bool:
    """Whether it has the form `name` or `owner/name`, and is not plainly a path.

    >>> [_may_be_hub_id(name) for name in ("gpt2", "owner/gpt2", "./gpt2", "a/b/c", "model.bin")]
    [True, True, False, False, False]
    """
    return (
        name.count("/") <= 1
        and not name.startswith(("/", ".", "~"))
        and not name.endswith(("/", ".bin", ".safetensors", ".json", ".gguf"))
        and "\\" not in name
        and bool(name)
    )


def _fetch(name: str, hub: Hub, tried: str) -> Path:
    """Bring a repository's model files into the cache; without a connection, take what is there."""
    problem: Exception | None = None
    patterns = [CONFIG_FILE]
    if not hub.local_files_only:
        try:
            patterns = _wanted(name, hub)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            problem = error
    try:
        folder = snapshot_download(
            name,
            revision=hub.revision,
            token=hub.token,
            cache_dir=hub.cache_dir,
            endpoint=hub.endpoint,
            local_files_only=hub.local_files_only or problem is not None,
            allow_patterns=patterns,
        )
    except Exception as error:
        raise _hub_error(name, hub, problem or error, tried) from error
    return Path(folder)


def _wanted(name: str, hub: Hub) -> list[str]:
    """List the files to fetch: the small ones, and the weights in the best format there is."""
    info = HfApi(endpoint=hub.endpoint, token=hub.token).model_info(name, revision=hub.revision)
    files = [file.rfilename for file in info.siblings or ()]
    weights = next(filter(None, (list(_matching(files, kind)) for kind in _WEIGHTS)), None)
    if weights is None or CONFIG_FILE not in files:
        found = listing([file for file in files if "/" not in file])
        raise CheckpointError(
            f"{name}: expected {CONFIG_FILE} with model.safetensors or pytorch_model.bin on the "
            f"hub, found {found or 'no files'}",
            path=name,
        )
    return [*_matching(files, _SMALL_FILES), *weights]


def _matching(files: Sequence[str], patterns: Sequence[str]) -> Iterator[str]:
    for file in files:
        # No `*` reaches into a folder.
        if any(
            file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)
            for pattern in patterns
        ):
            yield file


def _hub_error(name: str, hub: Hub, error: Exception, tried: str) -> CheckpointError:
    """Say in one line what was tried and what to do."""
    at = f" at revision {hub.revision}" if hub.revision else ""
    if isinstance(error, GatedRepoError):
        reason = "the hub shows it only to those who were granted access: give " + argument("token")
    elif isinstance(error, RevisionNotFoundError):
        reason = f"the hub's repository has no revision {hub.revision}"
    elif isinstance(error, RepositoryNotFoundError):
        reason = f"{tried}, and no such model on the hub (a private one needs {argument('token')})"
    elif isinstance(error, HFValidationError):
        reason = f"{tried}, and it is no hub id"
    elif isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        reason = f"{tried}, it is not in the cache{at}, and the hub is offline: go online once"
    else:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        reason = f"{tried}, it is not in the cache{at}, and the hub cannot be reached ({first})"
    return CheckpointError(f"{name}: not found: {reason}", path=name)
