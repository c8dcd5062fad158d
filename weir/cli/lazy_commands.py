"""Commands whose modules are imported when they are invoked: most of them take seconds."""

from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(TyperCommand):
    """Stands for a command in the list of commands, and turns into it when it is invoked.

    Args:
        name: of the command.
        target: ``module:attribute`` of its function, or of the `typer.Typer` of a group.
        short_help: its line in the list.
    """

    def __init__(self, name: str, target: str, short_help: str) -> None:
        super().__init__(name, help=short_help, rich_markup_mode="markdown")
        self._target = target

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """The context of the real command, which from here on takes over."""
        return self.load().make_context(*args, **kwargs)

    def load(self) -> Any:
        """Import the command."""
        module, attribute = self._target.split(":")
        found = getattr(import_module(module), attribute)
        shell = typer.Typer(rich_markup_mode="markdown")
        if isinstance(found, typer.Typer):
            shell.add_typer(found, name=self.name)
        else:
            shell.command(self.name)(found)
        return typer.main.get_group(shell).commands[str(self.name)]


class LazyGroup(TyperGroup):
    """A group of lazy commands; a subclass lists them: name, target, short help."""

    lazy: ClassVar[tuple[tuple[str, str, str], ...]] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, target, short_help in self.lazy:
            self.add_command(LazyCommand(name, target, short_help))
