"""`gpt2sdk merge`: a model with an adapter in its matrices."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The model that the adapter is for.", show_default=False),
]
Adapter = Annotated[
    Path, typer.Argument(metavar="ADAPTER", help="The adapter's folder.", show_default=False)
]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="Where to; a model that is there is replaced.",
        show_default=False,
    ),
]
Scale = Annotated[
    float, typer.Option("--scale", help="How strongly it acts; 1 is as it was trained.")
]


def merge(model: Model, adapter: Adapter, folder: Folder, *, scale: Scale = 1.0) -> None:
    """Write a model with an adapter in its matrices: it loads and runs as any other.

    The model is written in the type of its weights. The folder is there as a whole when it is
    done, or as it was before.
    """
    # `gpt2sdk merge --help` needs no torch.
    from gpt2sdk_train.merging import merge_adapter  # noqa: PLC0415

    merge_adapter(model, adapter, folder, scale=scale)
