"""Every exception of the library, as a tree.

```
GPT2SDKError
├── OptionError (ValueError)           an option is unknown, out of range or contradicts another
├── CheckpointError (ValueError)       a checkpoint's files or keys do not fit the model
├── TokenizerError (ValueError)        a tokenizer cannot be read, or does not fit the model
├── ContextOverflowError (ValueError)  a prompt and what is asked for exceed the context window
├── PluginError                        a plugin, with its distribution and version
│   ├── PluginLoadError                it cannot be imported, or was made for another version
│   ├── PluginConflictError            two plugins claim one name
│   └── PluginContractError            a component broke its role's contract
├── PlacementError (RuntimeError)      the model does not fit the devices
├── PackedError (RuntimeError)         packed weights were asked for gradients
└── GenerationError (RuntimeError)     something raised while generating; carries what was made
```

Messages say what was expected, what came, and what to do.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self


class GPT2SDKError(Exception):
    """Base of everything this library raises on purpose."""


class OptionError(GPT2SDKError, ValueError):
    """An option is unknown, out of range, or contradicts another one.

    Attributes:
        name: The option as the caller wrote it.
        value: What was given; `None` where nothing was.
        expected: What would have been accepted, in words.
    """

    def __init__(
        self, message: str, *, name: str = "", value: object = None, expected: str = ""
    ) -> None:
        super().__init__(message)
        self.name = name
        self.value = value
        self.expected = expected


class CheckpointError(GPT2SDKError, ValueError):
    """A checkpoint's files or keys do not fit the model.

    Attributes:
        path: The folder or file.
        missing: Parameters the model has and the checkpoint lacks.
        unexpected: Keys of the checkpoint that the model has no place for.
        mismatched: Keys of the wrong shape, each with both shapes in words.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path = "",
        missing: Iterable[str] = (),
        unexpected: Iterable[str] = (),
        mismatched: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.path = str(path)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mismatched = tuple(mismatched)


class TokenizerError(GPT2SDKError, ValueError):
    """A tokenizer cannot be read, or does not fit the model."""


class ContextOverflowError(GPT2SDKError, ValueError):
    """A prompt and what is asked for exceed the model's context window.

    Attributes:
        prompt_tokens: Length of the prompt, in tokens.
        limit: The context window, in tokens.
    """

    def __init__(self, message: str, *, prompt_tokens: int, limit: int) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class PluginError(GPT2SDKError):
    """Something is wrong with a plugin.

    Attributes:
        plugin: The entry point's or component's name.
        distribution: The distribution that ships it; empty when it was handed in directly.
        version: That distribution's version.
    """

    def __init__(
        self, message: str, *, plugin: str = "", distribution: str = "", version: str = ""
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.distribution = distribution
        self.version = version


class PluginLoadError(PluginError):
    """A plugin cannot be imported, or was made for another version of gpt2sdk."""


class PluginConflictError(PluginError):
    """Two plugins claim one name, and the call did not say which is meant."""


class PluginContractError(PluginError):
    """A component broke its role's contract: wrong shape, dtype, type or value."""


class PlacementError(GPT2SDKError, RuntimeError):
    """The model does not fit the devices, or cannot be where it should; the message says what can.

    Attributes:
        out_of_memory: Whether room is the matter, so that fewer bits or another place would help.
    """

    def __init__(self, message: str, *, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory

    @classmethod
    def of_placed(cls, done: str) -> Self:
        """Say that something is not done to a model whose parts were placed one by one.

        Args:
            done: What, as in "moved or converted".
        """
        return cls(
            f"a model that was placed part by part cannot be {done}: load it again, with "
            "another placement or none"
        )


class PackedError(GPT2SDKError, RuntimeError):
    """Packed weights were asked for what only plain ones have; the message says the way back.

    >>> str(PackedError("gradients were asked for of packed weights"))
    'gradients were asked for of packed weights: call model.train() or model.unpack() first'
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: call model.train() or model.unpack() first")


class GenerationError(GPT2SDKError, RuntimeError):
    """Something was wrong while text was being generated; what was made is kept.

    Where it is wrong with some prompts only, the others are finished first.

    Attributes:
        step: How many tokens the first row that failed had; how many times the strategy had
            appended tokens where the whole call failed.
        component: The component that failed; the strategy, if it was none of the others.
        partial: The `Result`: a completion of every prompt, with `finish_reason="error"` where
            something was wrong, and `"cancelled"` where the call ended before the row began.
    """

    def __init__(
        self, message: str, *, step: int = 0, component: str = "", partial: object = None
    ) -> None:
        super().__init__(message)
        self.step = step
        self.component = component
        self.partial = partial


def listing(names: Sequence[str], most: int = 12) -> str:
    """Join names for a message, and count what is left out.

    >>> listing(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
