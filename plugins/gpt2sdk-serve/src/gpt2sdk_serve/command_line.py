"""What `gpt2sdk serve` does: it loads models, and serves them until it is told to stop."""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpt2sdk import Generator, OptionError
from gpt2sdk_serve.app import make_app
from gpt2sdk_serve.graceful_server import GracefulServer, listening
from gpt2sdk_serve.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class How:
    """How models are loaded: what the flags say."""

    quantization: str | None
    dtype: str
    device: str
    runner: str
    cache: str | None
    offline: bool

    def load(self, model: str, adapter: str | None = None) -> Generator:
        """Load a model.

        Args:
            model: Its name.
            adapter: The folder of an adapter that is put into it.
        """
        return Generator.from_pretrained(
            model,
            dtype=self.dtype,
            device=self.device,
            quantization=self.quantization,
            runner=self.runner,
            prefix_cache=self.cache,
            adapter=adapter,
            local_files_only=self.offline,
        )


def carry_out(
    models: Sequence[str],
    aliases: Sequence[str],
    adapters: Sequence[str],
    how: How,
    settings: ServeSettings,
) -> None:
    """Serve until told to stop.

    Raises:
        OptionError: An alias or an adapter is written in another form, or a name is there twice.
        OSError: The port is taken.
    """
    with listening(settings) as socket:
        served = load_all(models, aliases, adapters, how)
        for name, generator in served.items():
            for note in generator.notes:
                _say(f"note: {name}: {note}")
        for name, generator in served.items():
            _check_preset(name, generator, settings)
        app = make_app(served, settings)
        _log_to_stderr()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{socket.getsockname()[1]}"
        _say(f"serving {', '.join(served)} at {address} (API at {address}/v1)")
        asyncio.run(GracefulServer(app, settings).serve([socket]))
        _say("stopped")


def load_all(
    models: Sequence[str], aliases: Sequence[str], adapters: Sequence[str], how: How
) -> dict[str, Generator]:
    """Return what is served, by name.

    Raises:
        OptionError: As for `carry_out`.
    """
    own = [each for each in adapters if not _pair(each)[0]]
    if len(own) > 1:
        message = f"--adapter {own[1]}: one adapter goes into the model; give others names"
        raise OptionError(message, name="adapter", value=own[1])
    served: dict[str, Generator] = {}
    for place, model in enumerate(models):
        adapter = own[0] if own and not place else None
        _check_free(served, model)
        served[model] = how.load(model, adapter)
    for written in adapters:
        name, folder = _pair(written)
        if name:
            _check_free(served, name)
            served[name] = how.load(models[0], folder)
    for written in aliases:
        name, model = _pair(written)
        if not name or model not in served:
            message = f"--alias {written}: expected NAME=MODEL with one of {', '.join(served)}"
            raise OptionError(message, name="alias", value=written)
        _check_free(served, name)
        served[name] = served[model]
    return served


def read_preset_file(path: Path | None) -> Mapping[str, object]:
    """Read the options of a JSON file.

    Raises:
        OptionError: It is no JSON object.
    """
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        message = f"--config {path}: expected JSON: {error}"
        raise OptionError(message, name="config", value=str(path)) from None
    if not isinstance(found, dict):
        message = f"--config {path}: expected an object with options"
        raise OptionError(message, name="config", value=str(path))
    return found


def read_template(given: str | None) -> str | None:
    """Return a chat template's text where a file was named; else what was given: a name.

    Raises:
        OptionError: The file is not UTF-8.
    """
    if given is None or not Path(given).is_file():
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except ValueError as error:
        message = f"--chat-template {given}: expected UTF-8: {error}"
        raise OptionError(message, name="chat_template", value=given) from None


def _check_preset(name: str, generator: Generator, settings: ServeSettings) -> None:
    """Refuse a preset before anybody asks with it."""
    if not settings.preset:
        return
    try:
        generator.explain(config=settings.preset)
    except OptionError as error:
        message = f"--config does not fit {name}: {error}"
        raise OptionError(message, name=error.name, value=error.value) from None


def _pair(written: str) -> tuple[str, str]:
    """Return what stands before and behind an equals sign; without one, nothing before it.

    >>> _pair("tales=folder"), _pair("folder")
    (('tales', 'folder'), ('', 'folder'))
    """
    name, equals, value = written.partition("=")
    return (name, value) if equals else ("", written)


def _check_free(served: Mapping[str, Generator], name: str) -> None:
    """Refuse a name that is taken.

    Raises:
        OptionError: It is.
    """
    if name in served:
        raise OptionError(f"{name} is there twice: give each a name of its own", name="model")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("gpt2sdk_serve", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    logging.getLogger("gpt2sdk_serve").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
