"""`gpt2sdk batch`: a file of prompts; and `gpt2sdk batch merge`: its shards as one."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typing_extensions import override

from gpt2sdk import CallFlags, OptionError, with_call_flags

if TYPE_CHECKING:
    from gpt2sdk_batch.batch import Engage

_ERRORS: Final = 3
_SIGNALLED: Final = 128

Output = Annotated[Path, typer.Argument(metavar="OUT", help="The output: .jsonl, .parquet.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Begin anew, whatever is there already.")
]


class BatchCommands(TyperGroup):
    """Does a batch where no other command is named."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["run", *args])


batch_app = typer.Typer(
    cls=BatchCommands,
    rich_markup_mode=None,
    help="Do a file of prompts (the default, `run`), or merge the outputs of shards.",
)


@batch_app.command("run")
@with_call_flags
def run(  # noqa: PLR0913 - each is a flag
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="Lines with prompts: .jsonl, .jsonl.gz or .parquet."),
    ],
    target: Output,
    *,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="An installed model, a folder in the Hugging Face layout, or a hub id.",
        ),
    ],
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template",
            metavar="FILE",
            help="A Jinja template of chats, or the name of one of the model's.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Every n-th line from the i-th; from 0."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Processes, or actors of Ray.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Let actors of a Ray cluster work: auto, local, …"
        ),
    ] = None,
    worker_cpus: Annotated[
        float, typer.Option("--worker-cpus", metavar="N", help="What an actor takes of its node.")
    ] = 1,
    worker_gpus: Annotated[
        float, typer.Option("--worker-gpus", metavar="N", help="Likewise; may be a part of one.")
    ] = 0,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="FIELD", help="Pass over a field of lines; * for all."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print how far it is, an event a line.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    flags: CallFlags,
) -> None:
    """Do all lines of a file; the same again goes on where an earlier run ended.

    A line is {"id": "a", "prompt": "Once"}, or has messages, or choices beside the prompt; options
    of its own stand under options. It ends with 3 where some lines came out as errors.
    """
    # The help needs no torch.
    from gpt2sdk_batch.batch import run as run_batch  # noqa: PLC0415
    from gpt2sdk_batch.interruption import StopSignal  # noqa: PLC0415
    from gpt2sdk_batch.progress import BatchBar, print_event  # noqa: PLC0415

    signals, bar = StopSignal(), BatchBar()
    watch = print_event if as_json else (_unwatched if quiet else bar)
    with signals.watched():
        try:
            summary = run_batch(
                _engaged(model, flags, workers, ray, worker_cpus, worker_gpus),
                source,
                target,
                config=flags.preset(),
                chat_template=_template(chat_template),
                shard=shard,
                ignore=ignore or (),
                overwrite=overwrite,
                watch=watch,
                stopped=signals,
                **flags.options(),
            )
        finally:
            bar.close()
    if not summary.complete:
        raise typer.Exit(_SIGNALLED + signals.number)
    if summary.errors:
        raise typer.Exit(_ERRORS)


@batch_app.command("merge")
def merge(
    target: Output,
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARD...", help="The outputs of all shards.")
    ],
    *,
    overwrite: Overwrite = False,
) -> None:
    """Put the outputs of all shards together, in the order of the lines.

    It is refused where one is missing, not finished, or of another run.
    """
    from gpt2sdk_batch.merging import merge as merge_shards  # noqa: PLC0415 - as above

    count = merge_shards(target, shards, overwrite=overwrite)
    typer.echo(f"{count:,} lines in {target}", err=True)


def _engaged(
    model: str, flags: CallFlags, workers: int, address: str | None, cpus: float, gpus: float
) -> "Engage":
    """Return what generates, as the flags say."""
    from gpt2sdk_batch.process_crew import processes  # noqa: PLC0415 - as above
    from gpt2sdk_batch.ray_crew import ray_actors  # noqa: PLC0415 - as above
    from gpt2sdk_batch.worker import Worker  # noqa: PLC0415 - as above

    load = partial(flags.load, model)
    if address is not None:
        return ray_actors(load, workers, address=address, num_cpus=cpus, num_gpus=gpus)
    if workers > 1:
        return processes(load, workers)
    return lambda settings: Worker(load(), settings)


def _template(name: str | None) -> str | None:
    """Return what a file holds; the name of one of the model's templates as it is.

    Raises:
        OptionError: It looks like a file's, and is none.
    """
    if name is None:
        return None
    path = Path(name)
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if path.suffix or len(path.parts) > 1:
        raise OptionError(f"--chat-template {name}: there is no such file", name="chat_template")
    return name


def _unwatched(_event: object) -> None:
    return None
