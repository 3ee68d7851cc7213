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
        help="Any option of a call, of the quantizer or of the placement; again for more. "
        "`gpt2sdk options` lists them.",
    ),
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin in one Python file; again for more."),
]
Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Options in a JSON file, or what --json printed, to do it again; flags go before.",
    ),
]
ChatTemplateFile = Annotated[
    str | None,
    typer.Option(
        "--chat-template",
        metavar="FILE",
        help="A Jinja template of chats, or the name of one of the model's.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="NAME", help="The hub's branch, tag or commit."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never go online; take what was fetched before.")
]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="NAME", help="auto, float32, bfloat16, float16.")
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda:0, …")]
Quantization = Annotated[
    str | None,
    typer.Option(
        "--quantization",
        metavar="NAME",
        help="Fewer bits: int8, int4, bnb-nf4, …; auto takes the best that fits --memory.",
    ),
]
PlacementName = Annotated[
    str | None,
    typer.Option(
        "--placement",
        metavar="NAME",
        help="Several devices: auto, cpu-offload, disk-offload, …, or a device map's JSON file.",
    ),
]
RunnerName = Annotated[
    str,
    typer.Option(
        "--runner", metavar="NAME", help="What computes: torch, or an installed one; auto chooses."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="SIZE", help="What may be used: 2GB, or cuda:0=2GB,cpu=8GiB."),
]
Adapter = Annotated[
    Path | None,
    typer.Option(
        "--adapter",
        metavar="FOLDER",
        help="Put an adapter into the model: LoRA in PEFT's format, with gpt2sdk-train.",
    ),
]
LoaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="A setting of the quantizer or placement, such as cache_tokens=4096; again for more.",
    ),
]
QuantizerOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="A setting of the quantizer; again for more.",
    ),
]
