"""Six logits processors that others published, for gpt2sdk."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution; imported here, when one is looked for."""
    from gpt2sdk_zoo.cite_from_prompt import CiteFromPrompt
    from gpt2sdk_zoo.force_last_phrase import ForceLastPhrase
    from gpt2sdk_zoo.gen_length_boost import GenLengthBoost
    from gpt2sdk_zoo.multiple_choice import MultipleChoice
    from gpt2sdk_zoo.prevent_hallucination import PreventHallucination
    from gpt2sdk_zoo.trigger_phrase import TriggerPhrase

    return (
        CiteFromPrompt,
        ForceLastPhrase,
        GenLengthBoost,
        MultipleChoice,
        PreventHallucination,
        TriggerPhrase,
    )
