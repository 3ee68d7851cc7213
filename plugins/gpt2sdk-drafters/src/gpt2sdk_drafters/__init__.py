"""Drafters for gpt2sdk: tokens proposed ahead, from the text itself, from files or by a model."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_drafters.corpus import Corpus
    from gpt2sdk_drafters.draft_model import DraftModel
    from gpt2sdk_drafters.early_exit import EarlyExit
    from gpt2sdk_drafters.prompt_lookup import PromptLookup
    from gpt2sdk_drafters.suffix import Suffix

    return PromptLookup, Suffix, Corpus, DraftModel, EarlyExit
