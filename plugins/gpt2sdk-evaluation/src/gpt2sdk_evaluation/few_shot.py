"""Few-shot prompts: a task shown by examples, which the model is to continue."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from gpt2sdk import Component


class FewShot(Component):
    r"""A task as a prompt: an instruction, solved examples, and a query to be answered like them.

    The stop string is what separates examples. Hand it to `stop`, an option of gpt2sdk-stopping;
    without it the model goes on with examples of its own, and `answer` cuts them off all the same.

    Brown et al., "Language models are few-shot learners", 2020, arXiv:2005.14165.

    Raises:
        OptionError: A field is unknown or of the wrong type, or an example's output holds the
            separator.

    Example:
        >>> animals = [("cheese", "fromage"), ("sea otter", "loutre de mer")]
        >>> task = FewShot(examples=animals, input_prefix="", output_prefix=" => ", separator="\n")
        >>> print(task.prompt("cat"))
        cheese => fromage
        sea otter => loutre de mer
        cat =>
        >>> task.stop
        ('\n',)
        >>> task.answer(" chat\ndog => chien")
        'chat'

        In a call: `result = gen.generate(task.prompt("cat"), stop=task.stop)`, then
        `task.answer(result.text)`.
    """

    instruction: Annotated[
        str, Field(description="What stands before the examples, and a separator with it.")
    ] = ""
    input_prefix: Annotated[str, Field(description="What stands before each input.")] = "Input: "
    output_prefix: Annotated[
        str, Field(description="What stands between an input and its output.")
    ] = "\nOutput: "
    separator: Annotated[
        str, Field(min_length=1, description="What stands behind each output, and ends an answer.")
    ] = "\n\n"
    examples: Annotated[
        tuple[tuple[str, str], ...], Field(description="Inputs, each with its output.")
    ] = ()

    @field_validator("examples")
    @classmethod
    def _end_where_the_separator_is(
        cls, examples: tuple[tuple[str, str], ...], info: ValidationInfo
    ) -> tuple[tuple[str, str], ...]:
        separator = info.data.get("separator")
        wrong = next((output for _, output in examples if separator and separator in output), None)
        if wrong is not None:
            message = f"should have outputs without the separator {separator!r}: it ends an answer"
            raise ValueError(message)
        return examples

    @property
    def stop(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.separator,)

    def prompt(self, query: str) -> str:
        """Return the prompt for a query.

        It ends without a blank: the tokens of words begin with theirs, so a blank at the end of a
        prompt would be followed by another one.
        """
        instruction = f"{self.instruction}{self.separator}" if self.instruction else ""
        shown = "".join(
            f"{self.input_prefix}{given}{self.output_prefix}{output}{self.separator}"
            for given, output in self.examples
        )
        return f"{instruction}{shown}{self.input_prefix}{query}{self.output_prefix}".rstrip(" ")

    def answer(self, generated: str) -> str:
        """Return the answer in what was generated: up to the separator, without blanks."""
        return generated.partition(self.separator)[0].strip()
