"""`gpt2sdk quantize`: write a model with its weights in fewer bits."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.parameters import (
    AsJson,
    Device,
    Dtype,
    Model,
    Offline,
    PluginFiles,
    QuantizerOptions,
    Revision,
)


def quantize(  # noqa: PLR0913 - each is a flag
    model: Model,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; a model that is there is replaced.")
    ],
    *,
    quantization: Annotated[
        str, typer.Option("--quantization", metavar="NAME", help="int8, int4, bnb-nf4, …")
    ],
    option: QuantizerOptions = None,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    plugin: PluginFiles = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Write a model with its weights in fewer bits.

    The weights are read, quantized and written one after another, so a model of any size fits. The
    folder is there as a whole when it is done, or as it was before.
    """
    from gpt2sdk.cli.load_options import read_quantizer
    from gpt2sdk.cli.load_table import show_plan
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.progress import byte_progress
    from gpt2sdk.cli.terminal import remark, show_json
    from gpt2sdk.loading import Hub, quantize_checkpoint, size_text

    registry = registry_with(read_plugins(plugin))
    quantizer = read_quantizer(quantization, option, registry)
    with byte_progress("quantizing", shown=not quiet) as advance:
        plan = quantize_checkpoint(
            model,
            folder,
            quantizer,
            dtype=dtype,
            device=device,
            hub=Hub(revision=revision, local_files_only=offline),
            registry=registry,
            watch=advance,
        )
    if as_json:
        show_json(plan.as_dict())
    elif not quiet:
        nbytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        show_plan(plan)
        remark(f"wrote {folder}: {size_text(nbytes)} of weights")
