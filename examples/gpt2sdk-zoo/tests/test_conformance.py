"""What is promised of every processor, of values that do something."""

from gpt2sdk.testing import parametrize_with_checks

from gpt2sdk_zoo.cite_from_prompt import CiteFromPrompt
from gpt2sdk_zoo.force_last_phrase import ForceLastPhrase
from gpt2sdk_zoo.gen_length_boost import GenLengthBoost
from gpt2sdk_zoo.multiple_choice import MultipleChoice
from gpt2sdk_zoo.prevent_hallucination import PreventHallucination
from gpt2sdk_zoo.trigger_phrase import TriggerPhrase

PROCESSORS = [
    CiteFromPrompt(cite_from_prompt=2.0),
    CiteFromPrompt(cite_from_prompt_next=-3.0, cite_from_prompt_ends=False),
    ForceLastPhrase(force_last_phrase="the end."),
    ForceLastPhrase(force_last_phrase=[3]),
    GenLengthBoost(gen_length_boost=4.0, gen_length_power=1.0),
    GenLengthBoost(gen_length_boost=-2.0, gen_length_sentences=True),
    GenLengthBoost(gen_length_boost=40.0, gen_length_token="c"),
    MultipleChoice(multiple_choice=["a", "c"]),
    MultipleChoice(
        multiple_choice=["a", "o"], multiple_choice_delimiter="n", multiple_choice_boost=1.0
    ),
    PreventHallucination(prevent_hallucination=0.9, prevent_hallucination_phrase="hm"),
    PreventHallucination(
        prevent_hallucination=0.5,
        prevent_hallucination_tolerate=0,
        prevent_hallucination_phrase=[3, 4, 5],
    ),
    TriggerPhrase(trigger_phrase="cad", trigger_phrase_at="f"),
    TriggerPhrase(trigger_phrase="ab", trigger_phrase_at="n", trigger_phrase_count=3),
    TriggerPhrase(trigger_phrase=[3, 3], trigger_phrase_at="n", trigger_phrase_instead=True),
]


@parametrize_with_checks(PROCESSORS)
def test_conformance(component, check):
    check(component)
