"""Where a plugin comes from, and how it fared."""

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        plugin: The entry point's name, or that of the module or object that was handed in.
        distribution: The distribution that ships it; empty where it was handed in.
        version: That distribution's version.
        target: What the entry point names, as `module` or `module:object`.
    """

    plugin: str
    distribution: str = ""
    version: str = ""
    target: str = ""

    @property
    def qualifier(self) -> str:
        """What stands before the colon in `distribution:component`."""
        return self.distribution or self.plugin

    @override
    def __str__(self) -> str:
        if self.distribution:
            return f"{self.distribution} {self.version}".rstrip()
        return self.plugin


class Status(StrEnum):
    """How a plugin fared."""

    ACTIVE = "active"
    """It works, as far as it was used."""
    FAILED = "failed"
    """It cannot be imported, or breaks the contract; it is left out."""
    INCOMPATIBLE = "incompatible"
    """It was made for another version of gpt2sdk; it is left out."""
    CONFLICT = "conflict"
    """Another distribution has an entry point of the same name; both are left out."""
    EXCLUDED = "excluded"
    """`GPT2SDK_PLUGINS` does not name it."""
    MISSING = "missing"
    """`GPT2SDK_PLUGINS` names it, but it is not installed."""


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """What is known of a plugin.

    Attributes:
        origin: Where it comes from.
        status: How it fared.
        reason: Why it is left out, or what one of its observers last raised.
        file: The file of its entry module, where it was imported.
        hooks: The hooks it implements.
        components: What it offers, as `role:name`, once components were looked for.
    """

    origin: Origin
    status: Status
    reason: str = ""
    file: str = ""
    hooks: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
