"""What people and models call things is printed as they call it."""

import pytest
from rich.table import Table

from weir.cli.console import stderr, stdout


@pytest.mark.parametrize("name", ["[/1234]", "declare it under [features]", "[bold]x", ":key:"])
def test_text_of_others_is_no_markup(name: str) -> None:
    for console in (stdout, stderr):
        table = Table("what", title=name)
        table.add_row(name)
        with console.capture() as captured:
            console.print(f"note {name}", soft_wrap=True)
            console.print(table)
        assert captured.get().count(name) == 3
