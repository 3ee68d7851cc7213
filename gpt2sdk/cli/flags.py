"""What arguments of Python are called on the command line."""

import json
import shlex
from collections.abc import Mapping
from typing import Final

_FLAGS: Final[Mapping[str, str]] = {
    "adapter": "--adapter",
    "chat_template": "--chat-template",
    "config": "--config",
    "device": "--device",
    "dtype": "--dtype",
    "local_files_only": "--offline",
    "max_memory": "--memory",
    "messages": "--messages",
    "max_new_tokens": "--max-new-tokens",
    "num_return_sequences": "--num-return-sequences",
    "placement": "--placement",
    "prefix_cache": "--prefix-cache",
    "plugins": "--plugin",
    "quantization": "--quantization",
    "revision": "--revision",
    "runner": "--runner",
    "seed": "--seed",
    "strategy": "--strategy",
    "temperature": "--temperature",
    "top_k": "--top-k",
    "top_p": "--top-p",
}
# What has no flag: tokens, which others could read there, and what the hub's own variables say.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "cache_dir": "HF_HUB_CACHE=",
    "token": "HF_TOKEN= (or log in: hf auth login)",
}
_SWITCHES: Final = frozenset({"local_files_only"})


def flag(name: str, value: tuple[object, ...] = ()) -> str:
    """Write an argument as commands have it: a flag, or an option behind `-o`.

    >>> flag("max_memory"), flag("dtype", ("bfloat16",)), flag("max_memory", ({0: "2GB"},))
    ('--memory', '--dtype bfloat16', '--memory cuda:0=2GB')
    >>> flag("local_files_only", (True,)), flag("min_p", (0.1,))
    ('--offline', '-o min_p=0.1')
    """
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    written = _FLAGS.get(name, f"-o {name}=")
    if not value or name in _SWITCHES:
        return written
    if name in _FLAGS:
        return f"{written} {_quoted(_text(value[0]))}"
    return behind_o(name, _text(value[0]))


def behind_o(name: str, value: str) -> str:
    """Write an option as it stands behind `-o`.

    >>> behind_o("num_beams", "4"), behind_o("stop", "The end")
    ('-o num_beams=4', "-o 'stop=The end'")
    """
    return f"-o {_quoted(f'{name}={value}')}"


def _text(value: object) -> str:
    """Return a value as commands have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        devices = {f"cuda:{key}" if isinstance(key, int) else key: value[key] for key in value}
        return ",".join(f"{device}={size}" for device, size in devices.items())
    return json.dumps(value, default=str, ensure_ascii=False)


def _quoted(text: str) -> str:
    """Protect a text from the shell where that is needed."""
    return (
        shlex.quote(text) if set(text) & set(" \t\n'\"\\$`;&|<>*?[](){}!#~") or not text else text
    )
