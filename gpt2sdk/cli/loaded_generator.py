"""A generator as the flags want it."""

from collections.abc import Sequence
from types import ModuleType

from gpt2sdk.cli.load_flags import LoadFlags
from gpt2sdk.generator.generator import Generator
from gpt2sdk.loading import LoadSettings


def load_generator(
    model: str,
    flags: LoadFlags,
    settings: LoadSettings,
    plugins: Sequence[ModuleType],
    prefix_cache: str | None = None,
) -> Generator:
    """Load a model to generate or score with.

    Args:
        model: Its name.
        flags: What the flags said.
        settings: What they mean, with the options beside them.
        plugins: Plugins of files.
        prefix_cache: How much may be kept of what was read; `None` for nothing.
    """
    return Generator.from_pretrained(
        model,
        dtype=settings.dtype,
        device=settings.device,
        quantization=settings.quantization,
        placement=settings.placement,
        max_memory=settings.max_memory,
        runner=settings.runner,
        prefix_cache=prefix_cache,
        adapter=flags.adapter,
        revision=flags.revision,
        local_files_only=flags.offline,
        plugins=plugins,
    )
