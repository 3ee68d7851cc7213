"""Files of a million prompts for gpt2sdk, on one machine or many, to the same bytes."""

from importlib import import_module
from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    import typer

    from gpt2sdk_batch.batch import BatchSummary, run
    from gpt2sdk_batch.errors import BatchError
    from gpt2sdk_batch.merging import merge
    from gpt2sdk_batch.process_crew import processes
    from gpt2sdk_batch.progress import BatchProgress
    from gpt2sdk_batch.ray_crew import ray_actors
    from gpt2sdk_batch.seeds import seed_of
    from gpt2sdk_batch.tables import GenerateBatch, generate_table

_HOMES = {
    "gpt2sdk_batch.batch": ("BatchSummary", "run"),
    "gpt2sdk_batch.errors": ("BatchError",),
    "gpt2sdk_batch.merging": ("merge",),
    "gpt2sdk_batch.process_crew": ("processes",),
    "gpt2sdk_batch.progress": ("BatchProgress",),
    "gpt2sdk_batch.ray_crew": ("ray_actors",),
    "gpt2sdk_batch.seeds": ("seed_of",),
    "gpt2sdk_batch.tables": ("GenerateBatch", "generate_table"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BatchError",
    "BatchProgress",
    "BatchSummary",
    "GenerateBatch",
    "generate_table",
    "merge",
    "processes",
    "ray_actors",
    "run",
    "seed_of",
]


@hookimpl
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add `gpt2sdk batch` and `gpt2sdk batch merge`."""
    from gpt2sdk_batch.command import batch_app

    app.add_typer(batch_app, name="batch")


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the entry module stays light."""
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
