"""Tables in memory: rows in, the same rows with results out; also what Ray maps over batches."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from gpt2sdk import CallRecord, Generator, OptionError
from gpt2sdk_batch.answers import failed
from gpt2sdk_batch.missing import needed
from gpt2sdk_batch.outputs import table_row, table_schema
from gpt2sdk_batch.run_settings import read_settings
from gpt2sdk_batch.sources import plain, rows_of
from gpt2sdk_batch.tasks import EVERYTHING, LineTask, read_task
from gpt2sdk_batch.worker import Load, Worker, loaded

T = TypeVar("T")

_COLUMNS = {
    "text": "text",
    "completions": "completions",
    "choice": "choice",
    "usage": "usage",
    "options": "own_options",
    "error": "error",
    "run": "run",
}
"""What results are called among a table's own columns."""


class GenerateBatch:
    """Does the rows of batches: what `ray.data.Dataset.map_batches` takes as a class.

    `ds.map_batches(GenerateBatch, fn_constructor_kwargs={"load": …}, batch_format="pyarrow",
    compute=ActorPoolStrategy(size=4), batch_size=256)`. Each actor loads one model. A row that is
    wrong has an `error`, and raises nothing. A row's result depends on its `id` and its contents,
    not on the batch it is in.

    It returns a `pyarrow.Table`: the columns of the batch, and behind them `text`, `completions`,
    `choice`, `usage`, `own_options`, `error` and `run`.
    """

    def __init__(
        self,
        load: Load,
        *,
        config: CallRecord | Mapping[str, object] | None = None,
        chat_template: str | None = None,
        **options: object,
    ) -> None:
        """Load the model.

        Args:
            load: Its name, folder or hub id; or what loads a generator, and pickles.
            config: A preset, or the record of a call.
            chat_template: What writes chats; the model's own by default.
            options: Options of all rows, as for `gpt2sdk_batch.run`.

        Raises:
            OptionError: An option is wrong.
        """
        self._worker = Worker(loaded(load), read_settings(options, config, chat_template))

    def __call__(self, batch: object) -> object:
        """Return a batch with results.

        Args:
            batch: A `pyarrow.Table`, a pandas `DataFrame`, or a dictionary of arrays; with the
                columns `id` and `prompt`, `messages`, `choices`, `options` as lines have them.

        Raises:
            OptionError: It has no column `id`.
        """
        arrow = needed("pyarrow", "GenerateBatch")
        table = _as_arrow(arrow, batch)
        if "id" not in table.column_names:
            message = (
                f"the batch has the columns {', '.join(table.column_names)}, expected an id: a row "
                "has no number of its own in Ray, and its seed is made of its id"
            )
            raise OptionError(message, name="id")
        rows = list(rows_of(table)())
        results = [table_row(each) for each in results_of(self._worker, rows)]
        schema = table_schema(arrow, numbered=False)
        for name, called in _COLUMNS.items():
            column = arrow.array([each.get(name) for each in results], schema.field(name).type)
            if called in table.column_names:
                table = table.drop_columns([called])
            table = table.append_column(called, column)
        return table


def generate_table(
    generator: Generator,
    table: T,
    *,
    config: CallRecord | Mapping[str, object] | None = None,
    chat_template: str | None = None,
    **options: object,
) -> T:
    """Return a table with results beside its rows, as `GenerateBatch` names them.

    Columns that are none of a line's stay as they are. Nothing is written down: for many rows,
    `run` keeps what is done.

    Args:
        generator: What generates.
        table: A pandas `DataFrame`, a `datasets.Dataset`, a `pyarrow.Table`, or a list of
            dictionaries; what comes back is the same.
        config: A preset, or the record of a call.
        chat_template: What writes chats; the model's own by default.
        options: Options of all rows, as for `run`.

    Raises:
        OptionError: An option is wrong, or it is no table.

    Example:
        >>> generate_table(
        ...     Generator.from_pretrained("storyteller"),
        ...     [{"prompt": "Once"}],
        ...     seed=1,
        ...     max_new_tokens=4,
        ... )[0]["usage"]
        {'prompt_tokens': 1, 'new_tokens': 4}
    """
    worker = Worker(generator, read_settings(options, config, chat_template))
    rows = list(rows_of(table)())
    results = results_of(worker, rows)
    columns = {
        called: [each.get(name) for each in results]
        for name, called in _COLUMNS.items()
        if any(name in each for each in results)
    }
    return cast("T", _with_columns(table, rows, columns))


def _as_arrow(arrow: Any, batch: Any) -> Any:  # noqa: ANN401 - optional packages' objects
    """Return a batch as a table of Arrow."""
    if isinstance(batch, Mapping):
        return arrow.table({name: [plain(each) for each in batch[name]] for name in batch})
    if hasattr(batch, "to_batches"):
        return batch
    return arrow.Table.from_pandas(batch, preserve_index=False)


def _with_columns(table: Any, rows: list[Any], columns: Mapping[str, list[Any]]) -> object:  # noqa: ANN401 - as above
    """Return a table with further columns; those of the same names are replaced."""
    if hasattr(table, "itertuples"):
        return table.assign(**columns)
    if hasattr(table, "features") and hasattr(table, "add_column"):
        for name, values in columns.items():
            kept = table.remove_columns(name) if name in table.column_names else table
            table = kept.add_column(name, _ready_for_columns(name, values))
        return table
    if hasattr(table, "to_batches"):
        arrow = needed("pyarrow", "a table")
        for name, values in columns.items():
            kept = table.drop_columns([name]) if name in table.column_names else table
            table = kept.append_column(name, arrow.array(_ready_for_columns(name, values)))
        return table
    found = []
    for at, row in enumerate(rows):
        own = {name: each[at] for name, each in columns.items() if each[at] is not None}
        found.append({**row, **own})
    return found


def results_of(worker: Worker, rows: list[Any]) -> list[dict[str, Any]]:
    """Return the results of rows, in their order; one that is wrong has an error.

    Args:
        worker: What does them.
        rows: Lines, as dictionaries; other fields are passed over.
    """
    results: dict[int, dict[str, Any]] = {}

    def tasks() -> Iterator[LineTask | None]:
        for index, row in enumerate(rows):
            try:
                yield read_task(index, row, (EVERYTHING,))
            except OptionError as error:
                results[index] = json.loads(failed(LineTask(index, index), error, worker.ran).text)

    for answers in worker.run(tasks()):
        results |= {each.index: json.loads(each.text) for each in answers}
    return [results[index] for index in range(len(rows))]


def _ready_for_columns(name: str, values: list[Any]) -> list[Any]:
    """Return results as a column with one type has them."""
    return [each and table_row({name.removeprefix("own_"): each}).popitem()[1] for each in values]
