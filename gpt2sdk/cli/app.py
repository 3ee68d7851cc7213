"""The commands there are; each has a module of its own, and imports what it needs when it runs."""

from typing import Annotated

import typer

from gpt2sdk import __version__
from gpt2sdk.cli.bench import bench
from gpt2sdk.cli.chat import chat
from gpt2sdk.cli.choose import choose
from gpt2sdk.cli.commands import Commands
from gpt2sdk.cli.detect import detect
from gpt2sdk.cli.explain import explain
from gpt2sdk.cli.generate import generate
from gpt2sdk.cli.info import info
from gpt2sdk.cli.new_plugin import new_plugin
from gpt2sdk.cli.next_token import next_token
from gpt2sdk.cli.options import options
from gpt2sdk.cli.plugins import PluginCommands, check, plugins
from gpt2sdk.cli.quantize import quantize
from gpt2sdk.cli.score import score


def _examples(*commands: str) -> str:
    """Return what stands below a command's help; the control character keeps its lines."""
    return "\n".join(["\b", "Examples:", *(f"  gpt2sdk {command}" for command in commands)])


app = typer.Typer(
    name="gpt2sdk",
    cls=Commands,
    # Plain help is as readable on a terminal, and can be searched and copied anywhere else.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Some commands are of plugins: `gpt2sdk plugins` says whose they are.",
)


def _print_version(*, wanted: bool) -> bool:
    if wanted:
        typer.echo(f"gpt2sdk {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def gpt2sdk(
    *,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="GPT2SDK_DEBUG",
            help="Show where an error was raised.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _print_version(wanted=wanted),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Generate text with GPT-2-family models; everything that decides the next token is a plugin.

    `gpt2sdk COMMAND --help` explains a command.
    """


app.command(
    epilog=_examples(
        'generate gpt2 "Once upon a time" --temperature 0.8 -o top_p=0.95',
        "generate gpt2 --file prompts.txt --lines -n 2 --json",
        "generate gpt2 --strategy beam -o num_beams=4 < prompt.txt",
    )
)(generate)
app.command(
    epilog=_examples(
        'chat Qwen/Qwen2.5-0.5B-Instruct --system "Answer in one sentence."',
        "chat my-model --chat-template chatml.jinja -o temperature=0.7 -o top_p=0.9",
    )
)(chat)
app.command(
    epilog=_examples(
        "explain -o temperature=0.7 -o top_p=0.9",
        'explain gpt2 -o strategy=beam -o \'stop=["\\n", "The end"]\'',
    )
)(explain)
app.command(epilog=_examples("options", "options top_p", "options --schema"))(options)
plugin_group = typer.Typer(
    cls=PluginCommands,
    rich_markup_mode=None,
    help="List plugins and what each offers (the default), or check what they promise.",
)
plugin_group.command("list")(plugins)
plugin_group.command(
    epilog=_examples("plugins check sampling", "plugins check fatigue -o fatigue.fatigue=2.0")
)(check)
app.add_typer(plugin_group, name="plugins")
app.command(
    epilog=_examples(
        "info gpt2",
        "info gpt2-xl --quantization int4 --placement auto --memory 2GB",
    )
)(info)
app.command(epilog=_examples("new-plugin fatigue", "new-plugin shy --role sampler"))(new_plugin)
app.command(
    epilog=_examples(
        "quantize gpt2 gpt2-int8 --quantization int8",
        "quantize gpt2-xl gpt2-xl-int4 --quantization int4 -o group_size=64",
    )
)(quantize)
app.command(
    epilog=_examples(
        'score gpt2 "Once upon a time" --tokens',
        "score gpt2 --file one.txt --file other.txt --stride 256",
        'score gpt2 " Paris." --context "The capital of France is"',
    )
)(score)
app.command(
    epilog=_examples(
        "choose gpt2 'The weather is' ' good' ' bad'",
        "choose gpt2 --file questions.txt --lines ' yes' ' no' --json",
    )
)(choose)
app.command(
    epilog=_examples(
        'next-token gpt2 "The weather is" --top 5',
        'next-token gpt2 "The weather is" -o temperature=0.7 -o top_p=0.9 --json',
    )
)(next_token)
app.command(
    epilog=_examples(
        'detect gpt2 "a text" --detector kgw-watermark -o hashing_key=7',
        "detect gpt2 --file text.txt --detector gumbel-watermark -o hashing_key=7 --json",
    )
)(detect)
app.command(
    epilog=_examples(
        "bench gpt2",
        "bench gpt2 --runner torch,native --quantization none,int8",
        "bench gpt2 -o temperature=0.8 -o top_p=0.95",
    )
)(bench)
