"""What `gpt2sdk serve` does: it loads models, and serves them until it is told to stop."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gpt2sdk import CallFlags, Generator, OptionError, parse_size
from gpt2sdk_serve.app import make_app
from gpt2sdk_serve.graceful_server import GracefulServer, listening
from gpt2sdk_serve.settings import ServeSettings

_OF_REQUESTS = frozenset({"max_new_tokens", "num_return_sequences", "logprobs", "batch_size"})
"""Options that a request's own fields say."""


def carry_out(
    models: Sequence[str],
    aliases: Sequence[str],
    adapted: Sequence[str],
    flags: CallFlags,
    settings: ServeSettings,
) -> None:
    """Serve until told to stop.

    Args:
        models: Names of models.
        aliases: Each `NAME=MODEL`.
        adapted: Each `NAME=FOLDER` of an adapter for the first model.
        flags: How models are loaded.
        settings: What the server allows.

    Raises:
        OptionError: An alias or an adapter is written in another form, or a name is there twice.
        OSError: The port is taken.
    """
    with listening(settings) as socket:
        served = load_all(models, aliases, adapted, flags)
        for name, generator in served.items():
            for note in generator.notes:
                _say(f"note: {name}: {note}")
        for name, generator in served.items():
            _check_preset(name, generator, settings)
            _check_template(name, generator, settings)
        app = make_app(served, settings)
        _log_to_stderr()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{socket.getsockname()[1]}"
        _say(f"serving {', '.join(served)} at {address} (API at {address}/v1)")
        asyncio.run(GracefulServer(app, settings).serve([socket]))
        _say("stopped")


def load_all(
    models: Sequence[str], aliases: Sequence[str], adapted: Sequence[str], flags: CallFlags
) -> dict[str, Generator]:
    """Return what is served, by name.

    Raises:
        OptionError: As for `carry_out`.
    """
    served: dict[str, Generator] = {}
    for model in models:
        _check_free(served, model)
        served[model] = flags.load(model)
    for written in adapted:
        name, folder = _pair(written, "adapted", "NAME=FOLDER")
        _check_free(served, name)
        loading = replace(flags.loading, adapter=Path(folder))
        served[name] = replace(flags, loading=loading).load(models[0])
    for written in aliases:
        name, model = _pair(written, "alias", f"NAME=MODEL with one of {', '.join(served)}")
        if model not in served:
            message = f"--alias {written}: there is no {model}, expected one of {', '.join(served)}"
            raise OptionError(message, name="alias", value=written)
        _check_free(served, name)
        served[name] = served[model]
    return served


def usual_options(flags: CallFlags) -> dict[str, object]:
    """Return the options that count where a request gives none.

    Raises:
        OptionError: There is no such option, or it is a request's to say.
    """
    if flags.num_return_sequences is not None:
        message = "--num-return-sequences is n of a request: leave it out"
        raise OptionError(message, name="num_return_sequences", value=flags.num_return_sequences)
    preset = dict(flags.preset() or {})
    inner = preset.get("options")
    found = {**(inner if isinstance(inner, dict) else preset), **flags.options()}
    return {name: value for name, value in found.items() if name not in _OF_REQUESTS}


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


def read_size(given: str | None) -> int | None:
    """Return the bytes that a flag names; `None` for none.

    Raises:
        OptionError: It names no size.
    """
    if given is None:
        return None
    try:
        return parse_size(given)
    except OptionError as error:
        message = f"--row-memory {given}: expected {error.expected or 'a size, such as 2GB'}"
        raise OptionError(message, name="row_memory", value=given) from None


def _check_template(name: str, generator: Generator, settings: ServeSettings) -> None:
    """Refuse a chat template that writes no chat, before anybody asks with it."""
    template = settings.chat_template
    if template is None:
        return
    try:
        generator.chat_prompt([{"role": "user", "content": "Hello"}], chat_template=template)
    except OptionError as error:
        message = f"--chat-template does not fit {name}: {error}"
        raise OptionError(message, name="chat_template", value=template) from None


def _check_preset(name: str, generator: Generator, settings: ServeSettings) -> None:
    """Refuse a preset before anybody asks with it."""
    if not settings.preset:
        return
    try:
        generator.explain(config=settings.preset)
    except OptionError as error:
        message = f"--config does not fit {name}: {error}"
        raise OptionError(message, name=error.name, value=error.value) from None


def _pair(written: str, flag: str, expected: str) -> tuple[str, str]:
    """Return what stands before and behind an equals sign.

    Raises:
        OptionError: There is none, or nothing before or behind it.

    >>> _pair("tales=folder", "adapted", "NAME=FOLDER")
    ('tales', 'folder')
    """
    name, _, value = written.partition("=")
    if not (name and value):
        message = f"--{flag} {written}: expected {expected}"
        raise OptionError(message, name=flag, value=written)
    return name, value


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
