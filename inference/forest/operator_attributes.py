"""The attributes of ONNX's operators of trees, lists as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


class TreeAttributes:
    """An operator's attributes, by name.

    Lists come as arrays, without a Python object for each entry.

    Raises:
        ValueError: by each method: the attribute is malformed.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        self._found = {attribute.name: attribute for attribute in node.attribute}

    def integers(self, name: str, length: int | None = None) -> NDArray[np.int64]:
        """Return a list that must be there, and as long as said."""
        if name not in self._found:
            raise ValueError(f"it has no {name}")
        return _of_length(name, np.array(self._found[name].ints, np.int64), length)

    def flags(self, name: str, length: int) -> NDArray[np.bool_]:
        """Return a list of 0 and 1; absent or empty, it is one of 0."""
        if name not in self._found or not self._found[name].ints:
            return np.zeros(length, np.bool_)
        return self.integers(name, length).astype(np.bool_)

    def doubles(self, name: str, length: int | None = None) -> NDArray[np.float64]:
        """Return a list that is given as doubles or as floats; absent, it is empty."""
        values = np.empty(0)
        if (tensor := self._found.get(f"{name}_as_tensor")) is not None:
            values = numpy_helper.to_array(tensor.t).astype(np.float64).ravel()
        elif name in self._found:
            values = np.array(self._found[name].floats, np.float64)
        return _of_length(name, values, length)

    def strings(self, name: str) -> Sequence[bytes]:
        """Return a list; absent, it is empty."""
        return self._found[name].strings if name in self._found else ()

    def count(self, name: str) -> int:
        """Return how long a list of whole numbers or strings is; absent, it is empty."""
        return len(self._found[name].ints or self.strings(name)) if name in self._found else 0

    def text(self, name: str, default: str) -> str:
        """Return a single text, or what is given for an absent one."""
        return self._found[name].s.decode() if name in self._found else default

    def integer(self, name: str, default: int) -> int:
        """Return a single whole number, or what is given for an absent one."""
        return self._found[name].i if name in self._found else default


def _of_length(name: str, values: NDArray[Any], length: int | None) -> NDArray[Any]:
    if length is not None and len(values) != length:
        raise ValueError(f"{name} has {len(values)} entries, not {length}")
    return values
