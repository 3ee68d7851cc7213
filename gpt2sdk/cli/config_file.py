"""What `--config` names: options in a JSON file, or what a call with `--json` printed."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpt2sdk.cli.messages import Chats, are_chats
from gpt2sdk.errors import OptionError
from gpt2sdk.options import Preset, is_schema, read_preset


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file holds.

    Attributes:
        preset: Its options.
        prompts: The prompts of the call, where it is the result of one.
        allow_special: Whether special tokens in them were tokens.
        chats: The chats that the prompts were made of, if they were.
        chat_template: The template that was named for them.
    """

    preset: Preset = field(default_factory=Preset)
    prompts: tuple[str, ...] = ()
    allow_special: bool = False
    chats: Chats = ()
    chat_template: str | None = None

    def changes(self, versions: Mapping[str, str]) -> list[str]:
        """Say what has another version now than when the call was made.

        Args:
            versions: Those of what is in use.
        """
        recorded = self.preset.record.versions if self.preset.record else {}
        return [
            f"the record was made with {name} {version}, this is {versions[name]}"
            for name, version in recorded.items()
            if versions.get(name, version) != version
        ]


def read_config(paths: Sequence[Path] | None) -> ConfigFile:
    """Read the file that was named, if one was.

    Raises:
        OptionError: There are several; or it is no JSON, or nothing that a preset may have: the
            message names the file.
    """
    if not paths:
        return ConfigFile()
    path = paths[0]
    if len(paths) > 1:
        message = f"--config is given {len(paths)} times: expected one file with all options"
        raise OptionError(message, name="config", value=[str(each) for each in paths])
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        message = f"--config {path}: expected JSON: {error}"
        raise OptionError(message, name="config", value=str(path)) from None
    if is_schema(found):
        message = f"--config {path}: a JSON schema is no preset: give it as"
        way = f'-o json_schema="$(cat {shlex.quote(str(path))})"'
        raise OptionError(f"{message} {way}", name="config", value=str(path))
    try:
        preset = read_preset(found)
    except OptionError as error:
        message = f"--config {path}: {error}"
        raise OptionError(message, name=error.name, value=error.value) from None
    if not isinstance(found.get("record"), Mapping):
        return ConfigFile(preset)
    return _of_a_call(found, preset, path)


def _of_a_call(found: Mapping[str, object], preset: Preset, path: Path) -> ConfigFile:
    """Read the prompts of what a call with `--json` printed."""
    prompts, special = found.get("prompts", []), found.get("allow_special", False)
    if not (isinstance(prompts, list) and all(isinstance(each, str) for each in prompts)):
        message = f"--config {path}: prompts is {prompts!r:.60}, expected a list of texts"
        raise OptionError(message, name="config", value=prompts)
    if not isinstance(special, bool):
        message = f"--config {path}: allow_special is {special!r:.60}, expected true or false"
        raise OptionError(message, name="config", value=special)
    chats, template = found.get("messages", []), found.get("chat_template")
    if not (are_chats(chats) and (template is None or isinstance(template, str))):
        message = f"--config {path}: messages is {chats!r:.60}, expected a list of chats"
        raise OptionError(message, name="config", value=chats)
    return ConfigFile(preset, tuple(prompts), special, tuple(chats), template)
