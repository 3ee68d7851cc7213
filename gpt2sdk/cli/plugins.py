"""`gpt2sdk plugins`: what is installed, and how it fares."""

from gpt2sdk.cli.parameters import AsJson, PluginFiles


def plugins(*, plugin: PluginFiles = None, as_json: AsJson = False) -> None:
    """List plugins and what each offers; broken ones say why.

    The environment variable GPT2SDK_PLUGINS=a,b allows only those; empty, it allows none.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.logs import unsaid
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.plugin_list import describe, show_plugins
    from gpt2sdk.cli.terminal import show_json

    with unsaid():
        described = describe(registry_with(read_plugins(plugin)))
    if as_json:
        show_json([asdict(line) for line in described])
    else:
        show_plugins(described)
