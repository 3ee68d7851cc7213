"""What turns the tokens of a tokenizer into text as they come."""

from gpt2sdk.components.language import Language
from gpt2sdk.errors import OptionError
from gpt2sdk.streaming import TextDecoder
from gpt2sdk.tokenizer.detokenizer import Detokenizer
from gpt2sdk.tokenizer.tokenizer import Tokenizer


def decoder_of(tokenizer: Language) -> TextDecoder:
    """Return the decoder of a `Tokenizer`, or a tokenizer that is its own decoder.

    Raises:
        OptionError: It is neither.
    """
    if isinstance(tokenizer, Tokenizer):
        return Detokenizer(tokenizer)
    if isinstance(tokenizer, TextDecoder):
        return tokenizer
    kind = type(tokenizer).__name__
    message = f"decoder is missing: expected one, since {kind} is no gpt2sdk Tokenizer"
    raise OptionError(f"{message}, and has no start, step and finish", name="decoder")
