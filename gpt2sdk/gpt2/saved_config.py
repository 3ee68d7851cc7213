"""What the config files of a saved GPT-2 say of the tokens that begin and end a text."""

from gpt2sdk.config import GPT2Config
from gpt2sdk.tokenizer.end_tokens import EndTokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer

_OTHER_ENDS = ("bos_token_id", "pad_token_id")


def generation_config(config: GPT2Config, ends: EndTokens) -> dict[str, object]:
    """Return what belongs into a `generation_config.json`: what was there, and all end tokens.

    Args:
        config: The model's.
        ends: Its end tokens.
    """
    own = config.generation_end_tokens
    missing = [token for token in ends.ids if token not in own]
    values: dict[str, object] = dict(config.generation)
    if not values:
        given = config.to_dict()
        values = {key: given[key] for key in _OTHER_ENDS if given.get(key) is not None}
    if missing:
        several = [*own, *missing]
        values["eos_token_id"] = several[0] if len(several) == 1 else several
    return values


def with_ends(config: GPT2Config, tokenizer: Tokenizer, ends: EndTokens) -> GPT2Config:
    """Name the tokens that nobody named: readers would take them for those of GPT-2."""
    several = ends.ids[0] if len(ends.ids) == 1 else ends.ids or None
    named = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": several}
    missing = {key: value for key, value in named.items() if key not in config.model_fields_set}
    return config.model_copy(update=missing)
