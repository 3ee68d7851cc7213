"""Flags of a command that loads a model and makes calls: for commands of plugins, too."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from gpt2sdk.cli.load_flags import LoadFlags
from gpt2sdk.cli.parameters import Config, Options

if TYPE_CHECKING:
    from gpt2sdk.generator.generator import Generator
    from gpt2sdk.options import Preset

MaxNewTokens = Annotated[
    int | None,
    typer.Option("--max-new-tokens", metavar="N", help="Most tokens to add to a prompt."),
]
Temperature = Annotated[
    float | None,
    typer.Option("--temperature", metavar="T", help="Below 1 is safer, above 1 is wilder."),
]
TopK = Annotated[
    int | None, typer.Option("--top-k", metavar="K", help="Draw from the K likeliest tokens.")
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", metavar="P", help="Draw from the likeliest tokens of mass P."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="The same seed, the same text.")
]
StrategyName = Annotated[
    str | None,
    typer.Option("--strategy", metavar="NAME", help="How text grows: sample, greedy, …"),
]
NumReturnSequences = Annotated[
    int | None,
    typer.Option("--num-return-sequences", "-n", metavar="N", help="Completions of each prompt."),
]
PrefixCache = Annotated[
    str | None,
    typer.Option(
        "--prefix-cache",
        metavar="SIZE",
        help="Read what prompts begin with alike once; so much may be kept: 256MB.",
    ),
]


@dataclass(frozen=True, slots=True)
class CallFlags:
    """What the flags of a command said that makes calls, but for the prompts.

    It pickles, so that another process can load the same.

    Attributes:
        max_new_tokens: Most tokens to add to a prompt.
        temperature: What logits are divided by.
        top_k: From how many of the likeliest tokens one is drawn.
        top_p: From how much mass.
        seed: Where random numbers start.
        strategy: How text grows.
        num_return_sequences: Completions of each prompt.
        prefix_cache: How much may be kept of what was read.
        option: Each `name=value` behind `-o`.
        config: The file with a preset.
        loading: How the model is loaded.
    """

    max_new_tokens: MaxNewTokens = None
    temperature: Temperature = None
    top_k: TopK = None
    top_p: TopP = None
    seed: Seed = None
    strategy: StrategyName = None
    num_return_sequences: NumReturnSequences = None
    prefix_cache: PrefixCache = None
    option: Options = None
    config: Config = None
    loading: LoadFlags = field(default_factory=LoadFlags)

    def load(self, model: str) -> "Generator":
        """Load a model as the flags say.

        Args:
            model: Its name, folder or hub id.

        Raises:
            OptionError: A flag is wrong.
            CheckpointError: The model is not found, or cannot be read.
        """
        from gpt2sdk.cli.load_options import read_load_options
        from gpt2sdk.cli.loaded_generator import load_generator
        from gpt2sdk.cli.plugin_files import read_plugins, registry_with

        plugins = read_plugins(self.loading.plugin)
        how = read_load_options(self.loading, self.option, registry_with(plugins), of_calls=True)
        return load_generator(model, self.loading, how.settings, plugins, self.prefix_cache)

    def options(self) -> dict[str, object]:
        """Return the options of calls by name, checked; texts are read by their options' types.

        Raises:
            OptionError: There is no such option, it is given twice, or its value is wrong.
        """
        from gpt2sdk.cli.given_options import read_options
        from gpt2sdk.cli.load_options import read_load_options
        from gpt2sdk.cli.plugin_files import read_plugins, registry_with
        from gpt2sdk.options import compose

        registry = registry_with(read_plugins(self.loading.plugin))
        how = read_load_options(self.loading, self.option, registry, of_calls=True)
        named = {name: getattr(self, name) for name in _NAMED}
        found = read_options(how.rest, named)
        compose(found, registry=registry, config=_read(self.config))
        return found

    def preset(self) -> Mapping[str, object] | None:
        """Return what `--config` names; `None` for nothing.

        Raises:
            OptionError: It is no preset.
        """
        found = _read(self.config)
        return found.record.as_dict() if found.record else found.options or None


_NAMED = (
    "max_new_tokens",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "strategy",
    "num_return_sequences",
)


def _read(config: Sequence[Path] | None) -> "Preset":
    """Return the preset of a file."""
    from gpt2sdk.cli.config_file import read_config

    return read_config(config).preset


def with_call_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a plugin's command the flags of `gpt2sdk generate`, in place of its parameter `flags`.

    They say how a model is loaded and which options its calls have; prompts are the command's.

    Args:
        command: A function of typer, with a parameter `flags: CallFlags`.

    Example:
        >>> @with_call_flags
        ... def shout(model: str, *, flags: CallFlags) -> None:
        ...     print(flags.temperature, flags.loading.dtype)
        >>> shout(model="gpt2", temperature=0.5)
        0.5 auto
    """
    own_names = [each.name for each in fields(CallFlags) if each.name != "loading"]
    load_names = [each.name for each in fields(LoadFlags)]
    shared = [*_parameters(CallFlags, own_names), *_parameters(LoadFlags, load_names)]
    signature = inspect.signature(command, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name != "flags"]

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - whatever the command has
        loading = LoadFlags(**{name: given.pop(name) for name in load_names if name in given})
        flags = CallFlags(**{name: given.pop(name) for name in own_names if name in given})
        command(**given, flags=replace(flags, loading=loading))

    # The parser reads these instead of what the function really takes.
    parameters = [*own, *shared]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _parameters(kind: type, names: Sequence[str]) -> list[inspect.Parameter]:
    """Return fields as parameters of a command."""
    hints = get_type_hints(kind, include_extras=True)
    defaults = {each.name: each.default for each in fields(kind)}
    only = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, only, default=defaults[name], annotation=hints[name])
        for name in names
    ]
