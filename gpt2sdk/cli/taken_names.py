"""Names that a new plugin may not have: those of plugins, components and options in use."""

from gpt2sdk.errors import OptionError
from gpt2sdk.options import Settings
from gpt2sdk.plugins.known import KNOWN
from gpt2sdk.plugins.registry import Registry, default_registry


def refuse_taken(name: str, registry: Registry | None = None) -> None:
    """Refuse a name that users could not tell from another one.

    Args:
        name: In the spelling of Python.
        registry: Where to look; what is installed by default.

    Raises:
        OptionError: A setting, an option, a component or a plugin has it.
    """
    holder = _holder(name, registry or default_registry())
    if holder:
        message = f"{name} is taken, it is {holder}: name your method otherwise"
        raise OptionError(message, name="name", value=name)


def _holder(name: str, registry: Registry) -> str:
    """Say who has a name; empty where nobody has."""
    distribution = f"gpt2sdk-{name.replace('_', '-')}"
    holders = {
        "an option of every call": name in Settings.model_fields,
        **{str(offer): True for offer in registry.named(name)},
        **{f"an option of {offer}": True for offer in registry.having(name)},
        **{
            f"the plugin of {record.origin}": record.origin.plugin.replace("-", "_") == name
            for record in registry.plugins()
            if record.origin.distribution
        },
        **{f"in {known}": name in names.split() for known, names in KNOWN.items()},
        f"the distribution {distribution}": distribution in KNOWN,
    }
    return next((holder for holder, has_it in holders.items() if has_it), "")
