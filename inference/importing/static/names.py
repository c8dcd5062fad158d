"""How long names in a file may be: they stand in messages, in packages and on every screen."""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from inference.importing.static.refusal import ImportRefusedError

_LONGEST = 1_000
"""Characters; PyTorch's names of nodes have some hundred."""
_NO_NAMES = {"doc_string", "value"}


def check_names(message: Message) -> None:
    """Refuse a model in which anything has a name that is longer than any exporter writes.

    Raises:
        ImportRefusedError: it has one.
    """
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING and field.name not in _NO_NAMES:
            for text in [value] if isinstance(value, str) else value:
                _check(field.name, text)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in [value] if isinstance(value, Message) else value:
                check_names(each)


def _check(what: str, text: str) -> None:
    if len(text) > _LONGEST:
        raise ImportRefusedError(
            "",
            f"a {what.replace('_', ' ')} that begins with {text[:40]!r} has {len(text):,} "
            f"characters; {_LONGEST:,} is the limit",
            "Export the model with shorter names",
        )
