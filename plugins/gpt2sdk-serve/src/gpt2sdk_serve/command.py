"""`gpt2sdk serve`: serve models over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

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
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="[NAME=]FOLDER",
        help="Put an adapter into the first model; with a name, serve it beside the model under "
        "this name; repeatable.",
    ),
]
Quantization = Annotated[
    str | None,
    typer.Option("--quantization", metavar="NAME", help="Fewer bits: int8, int4, …"),
]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="NAME", help="auto, float32, bfloat16, float16.")
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda:0, …")]
Runner = Annotated[
    str, typer.Option("--runner", metavar="NAME", help="What computes; auto chooses.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never go online.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Options in a JSON file, where a request gives none."
    ),
]
ChatTemplate = Annotated[
    str | None,
    typer.Option(
        "--chat-template", metavar="FILE", help="A Jinja template of chats, or a name of one."
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
Port = Annotated[int, typer.Option("--port", metavar="N", help="The port; 0 takes a free one.")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="N", min=1, help="Rows at a time of each model.")
]
MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue", metavar="N", min=1, help="Requests at a time; more are answered 429."
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache", metavar="SIZE", help="What may be kept of prompts that begin alike; 256MB."
    ),
]
RowMemory = Annotated[
    str | None,
    typer.Option(
        "--row-memory",
        metavar="SIZE",
        help="What running rows may remember, such as 2GB; half of what is free by default.",
    ),
]
MaxNewTokens = Annotated[
    int,
    typer.Option("--max-new-tokens", metavar="N", min=1, help="Most tokens of any completion."),
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


def serve(  # noqa: PLR0913 - each is a flag
    models: Models,
    *,
    alias: Aliases = None,
    adapter: Adapters = None,
    quantization: Quantization = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    runner: Runner = "auto",
    offline: Offline = False,
    config: Config = None,
    chat_template: ChatTemplate = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    batch_size: BatchSize = 32,
    max_queue: MaxQueue = 512,
    cache: Cache = None,
    row_memory: RowMemory = None,
    max_new_tokens: MaxNewTokens = 16_384,
    timeout: Timeout = None,
    grace: Grace = 10.0,
    log_prompts: LogPrompts = False,
) -> None:
    """Serve models over HTTP to OpenAI's clients, all requests of a model in shared passes.

    A page to try it is at the address that is printed. Ctrl-C finishes what runs, and stops.
    """
    # `gpt2sdk serve --help` needs no torch.
    import os  # noqa: PLC0415

    from gpt2sdk import parse_size  # noqa: PLC0415
    from gpt2sdk_serve.command_line import (  # noqa: PLC0415
        How,
        carry_out,
        read_preset_file,
        read_template,
    )
    from gpt2sdk_serve.settings import ServeSettings  # noqa: PLC0415

    settings = ServeSettings(
        host=host,
        port=port,
        api_key=os.environ.get("GPT2SDK_API_KEY"),
        batch_size=batch_size,
        max_queue=max_queue,
        memory=None if row_memory is None else parse_size(row_memory),
        max_new_tokens=max_new_tokens,
        timeout=timeout,
        grace=grace,
        log_prompts=log_prompts,
        chat_template=read_template(chat_template),
        preset=read_preset_file(config),
    )
    how = How(quantization, dtype, device, runner, cache, offline=offline)
    carry_out(models, alias or (), adapter or (), how, settings)
