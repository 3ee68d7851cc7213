"""What finds marks in texts."""

from collections.abc import Mapping
from typing import overload

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.detector import Detection, Detector
from gpt2sdk.components.records import Result
from gpt2sdk.generator.answering import answering
from gpt2sdk.generator.asking_words import DETECT_WORDS
from gpt2sdk.generator.detecting import detect_all
from gpt2sdk.generator.holder import ModelHolder
from gpt2sdk.generator.marking import as_marked
from gpt2sdk.generator.prompts import PromptInput


class Examiner(ModelHolder):
    """Looks for marks in texts. It asks the tokenizer, and never the model."""

    @overload
    def detect(
        self,
        text: str,
        detector: str | Detector | None = None,
        *,
        prompt: PromptInput | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Detection: ...

    @overload
    def detect(
        self,
        text: PromptInput | Result,
        detector: str | Detector | None = None,
        *,
        prompt: PromptInput | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Detection | list[Detection]: ...

    @answering(DETECT_WORDS)
    def detect(
        self,
        text: PromptInput | Result,
        detector: str | Detector | None = None,
        *,
        prompt: PromptInput | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Detection | list[Detection]:
        """Say how surely text carries a mark.

        Args:
            text: One text, one list of token ids, or a list of such; parts of what was written
                will do. Each is judged alone. Of a `Result` each completion is.
            detector: What looks: a `Detector`, or the name of an installed one; `None` for the
                mark that `config` has.
            prompt: What stood before the text, where it is known: one for all texts, or one for
                each. It is context for the first tokens, and not judged.
            config: Where the detector's options are taken from: the `record` of a result, or
                options as data, as for `generate`. Those given go before.
            options: The detector's, such as its key, where it was named.

        Returns:
            A detection, or a list of them for a list of texts or a
            result.

        Raises:
            OptionError: There is no such detector, or none is named; an option is wrong, or a
                token id is out of range; the record has no mark, or several.
            TokenizerError: A text cannot be encoded.
        """
        judge, settings = as_marked(config, detector, options, self.registry)
        return detect_all(
            text,
            judge,
            settings,
            prompt=prompt,
            language=self.tokenizer,
            vocab_size=self.model.vocab_size,
            registry=self.registry,
        )
