"""`weir sql`: SQL over the archive."""

from typing import Annotated, Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import typer
from rich.table import Table

from monitoring.archive.table import open_tables
from monitoring.archive.views import open_views, snapshot
from weir.cli.console import STDOUT, ConfigOption, JsonOption, print_json, stdout, write_file
from weir.config.errors import SettingsError
from weir.config.settings import load_settings

_SHOWN = 1_000


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement, as DuckDB has it.")],
    config: ConfigOption = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The archive; by default archive.url."
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the archive: views events, scores, labels, matured and young.

    events has what models saw and answered: features.NAME, context.NAME, decision, model. labels
    has what became known, and when. matured has the events that are old enough, each with the label
    that was known by then; young has the others. Times are UTC. For example:

    weir sql "select date, count(*), avg(label) from matured group by date order by date"
    """
    settings = load_settings(config)
    place = archive or settings.archive.place(settings.data_dir)
    terms = settings.terms()
    database = open_views(
        snapshot(open_tables(place, settings.archive.storage_options())),
        maturity=terms.maturity,
        unlabelled_legitimate=terms.unlabelled_count,
    )
    try:
        found = database.execute(query)
        if as_csv:
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(found.to_arrow_table(), sink)
            write_file(STDOUT, [sink.getvalue().to_pybytes()])
            return
        rows = found.fetchall() if as_json else found.fetchmany(_SHOWN + 1)
        names = [column[0] for column in found.description or ()]
    except duckdb.Error as error:
        raise SettingsError(f"weir sql: {error}") from error
    if as_json:
        print_json({"columns": names, "rows": [[_plain(each) for each in row] for row in rows]})
        return
    table = Table(*names)
    for row in rows[:_SHOWN]:
        table.add_row(*("" if each is None else str(each) for each in row))
    stdout.print(table)
    if len(rows) > _SHOWN:
        stdout.print(f"only the first {_SHOWN:,} rows are shown: --csv prints all")


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, list, dict, type(None))):
        return value
    return str(value)
