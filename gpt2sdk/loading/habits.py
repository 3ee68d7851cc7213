"""What quantizations are called elsewhere, and here."""

from collections.abc import Mapping
from typing import Final

from gpt2sdk.errors import OptionError
from gpt2sdk.loading.precision import DTYPES, SHORT_DTYPES
from gpt2sdk.mention import argument
from gpt2sdk.plugins.registry import Registry

# Names in small letters, without what separates their parts.
_HERE: Final[Mapping[str, tuple[str, ...]]] = {
    "8": ("int8",),
    "8bit": ("int8",),
    "8bits": ("int8",),
    "i8": ("int8",),
    "q8": ("int8",),
    "q80": ("int8",),
    "w8a16": ("int8",),
    "loadin8bit": ("bnb-int8", "int8"),
    "llmint8": ("bnb-int8",),
    "4": ("int4",),
    "4bit": ("int4",),
    "4bits": ("int4",),
    "i4": ("int4",),
    "q4": ("int4",),
    "q40": ("int4",),
    "w4a16": ("int4",),
    "loadin4bit": ("bnb-nf4", "int4"),
    "qlora": ("bnb-nf4",),
    "nf4": ("bnb-nf4",),
    "fp4": ("bnb-fp4",),
    "bnb": ("bnb-int8", "bnb-nf4", "bnb-fp4"),
    "bitsandbytes": ("bnb-int8", "bnb-nf4", "bnb-fp4"),
}
_NONE: Final = frozenset({"none", "no", "false", "off", ""})


def check_habit(name: str, registry: Registry) -> None:
    """Make sure that a quantization has not the name that other programs give it.

    Raises:
        OptionError: It has; the message says what it is here.
    """
    key = "".join(filter(str.isalnum, name.lower()))
    hint = ""
    if key in _HERE:
        remedies = filter(None, (registry.remedy(each.replace("-", "_")) for each in _HERE[key]))
        hint = f"did you mean {' or '.join(_HERE[key])}?" + next((f" ({r})" for r in remedies), "")
    elif key in SHORT_DTYPES or key in DTYPES:
        hint = f"that is a type: {argument('dtype', SHORT_DTYPES.get(key, key))}"
    elif key in _NONE:
        hint = f"without {argument('quantization')} weights stay as they are stored"
    if hint:
        raise OptionError(
            f"there is no quantizer {name!r}: {hint}",
            name="quantization",
            value=name,
            expected=hint,
        )
