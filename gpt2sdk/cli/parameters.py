"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="An installed model, a folder in the Hugging Face layout, or a hub id.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="Any option of a call; again for more. `gpt2sdk options` lists them.",
    ),
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin in one Python file; again for more."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="NAME", help="The hub's branch, tag or commit."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never go online; take what was fetched before.")
]
