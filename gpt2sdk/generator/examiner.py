"""What finds marks in texts."""

from typing import overload

from gpt2sdk.components.detector import Detection, Detector
from gpt2sdk.generator.detecting import detect_all
from gpt2sdk.generator.holder import ModelHolder
from gpt2sdk.generator.prompts import PromptInput


class Examiner(ModelHolder):
    """Looks for marks in texts. It asks the tokenizer, and never the model."""

    @overload
    def detect(
        self,
        text: str,
        detector: str | Detector,
        *,
        prompt: PromptInput | None = None,
        **options: object,
    ) -> Detection: ...

    @overload
    def detect(
        self,
        text: PromptInput,
        detector: str | Detector,
        *,
        prompt: PromptInput | None = None,
        **options: object,
    ) -> Detection | list[Detection]: ...

    def detect(
        self,
        text: PromptInput,
        detector: str | Detector,
        *,
        prompt: PromptInput | None = None,
        **options: object,
    ) -> Detection | list[Detection]:
        """Say how surely text carries a mark.

        Args:
            text: One text, one list of token ids, or a list of such; parts of what was written
                will do. Each is judged alone.
            detector: What looks: a `Detector`, or the name of an installed one.
            prompt: What stood before the text, where it is known: one for all texts, or one for
                each. It is context for the first tokens, and not judged.
            options: The detector's, such as its key, where it was named.

        Returns:
            A detection, or a list of them for a list of texts.

        Raises:
            OptionError: There is no such detector, an option is wrong, or a token id is out of
                range.
            TokenizerError: A text cannot be encoded.
        """
        return detect_all(
            text,
            detector,
            options,
            prompt=prompt,
            language=self.tokenizer,
            vocab_size=self.model.vocab_size,
            registry=self.registry,
        )
