"""`gpt2sdk new-plugin`: a package to begin with, whose tests pass."""

from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What it is called: letters, digits, hyphens."),
    ],
    *,
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="processor, sampler, criterion, strategy or drafter.",
        ),
    ] = "processor",
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Where its folder is put.")
    ] = Path(),
) -> None:
    """Write the package of a plugin: a component, its tests, a README and an entry point.

    It passes its tests as it is. Then put your method in the component's place.
    """
    from gpt2sdk.cli.scaffold import files_of, plain_name, write_folder
    from gpt2sdk.cli.taken_names import refuse_taken

    plain = plain_name(name)
    contents = files_of(plain, role)
    refuse_taken(plain)
    folder = into / f"gpt2sdk-{plain.replace('_', '-')}"
    write_folder(folder, contents)
    typer.echo(f"{folder} is there, with {len(contents)} files. Next:")
    typer.echo(f"  pip install -e {folder}")
    typer.echo(f"  pytest {folder}")
    typer.echo(f"  gpt2sdk plugins check {folder.name}")
