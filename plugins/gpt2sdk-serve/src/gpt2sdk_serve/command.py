"""`gpt2sdk serve`: serve models over HTTP."""

from typing import Annotated

import typer

from gpt2sdk import CallFlags, with_call_flags

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL…", help="Installed models, folders in the Hugging Face layout, or hub ids."
    ),
]
Aliases = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="NAME=MODEL", help="Another name of a model; repeatable."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda:0, …")]
ChatTemplate = Annotated[
    str | None,
    typer.Option(
        "--chat-template", metavar="FILE", help="A Jinja template of chats, or a name of one."
    ),
]
Adapted = Annotated[
    list[str] | None,
    typer.Option(
        "--adapted",
        metavar="NAME=FOLDER",
        help="Serve the first model with an adapter, too, under a name of its own; repeatable.",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Where to listen; other than this machine alone only with the key GPT2SDK_API_KEY.",
    ),
]
Port = Annotated[
    int,
    typer.Option("--port", metavar="N", min=0, max=65535, help="The port; 0 takes a free one."),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="N", min=1, help="Rows at a time of each model.")
]
MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue", metavar="N", min=1, help="Requests at a time; more are answered 429."
    ),
]
RowMemory = Annotated[
    str | None,
    typer.Option(
        "--row-memory",
        metavar="SIZE",
        help="What running rows of each model may remember, such as 2GB; half of what is free, in "
        "equal parts, by default.",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="Finish requests after so long with what there is."
    ),
]
Grace = Annotated[
    float,
    typer.Option("--grace", metavar="SECONDS", min=0, help="How long to finish when stopped."),
]
LogPrompts = Annotated[bool, typer.Option("--log-prompts", help="Log prompts and texts, too.")]


@with_call_flags
def serve(  # noqa: PLR0913 - each is a flag
    models: Models,
    *,
    alias: Aliases = None,
    adapted: Adapted = None,
    chat_template: ChatTemplate = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    batch_size: BatchSize = 32,
    max_queue: MaxQueue = 512,
    row_memory: RowMemory = None,
    timeout: Timeout = None,
    grace: Grace = 10.0,
    log_prompts: LogPrompts = False,
    flags: CallFlags,
) -> None:
    """Serve models over HTTP to OpenAI's clients, all requests of a model in shared passes.

    Options of calls count where a request gives none; --max-new-tokens is a limit. A page to try it
    is at the address that is printed. Ctrl-C finishes what runs, and stops.
    """
    # `gpt2sdk serve --help` needs no torch.
    import os  # noqa: PLC0415

    from gpt2sdk_serve.command_line import (  # noqa: PLC0415
        carry_out,
        read_size,
        read_template,
        usual_options,
    )
    from gpt2sdk_serve.settings import MOST_NEW_TOKENS, ServeSettings  # noqa: PLC0415

    settings = ServeSettings(
        host=host,
        port=port,
        api_key=os.environ.get("GPT2SDK_API_KEY"),
        batch_size=batch_size,
        max_queue=max_queue,
        memory=read_size(row_memory),
        max_new_tokens=flags.max_new_tokens or MOST_NEW_TOKENS,
        timeout=timeout,
        grace=grace,
        log_prompts=log_prompts,
        chat_template=read_template(chat_template),
        preset=usual_options(flags),
    )
    carry_out(models, alias or (), adapted or (), flags, settings)
