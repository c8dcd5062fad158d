"""Runs a model on rows of features, however it wants them; only in a process that may die."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from inference.importing.sandbox.signature import ModelInput
from inference.importing.static.first_line import first_line
from inference.importing.static.refusal import ImportRefusedError

Answers = dict[str, NDArray[Any]]


class Runner:
    """A loaded model.

    Args:
        model: a checked one, whose outputs are tensors.
        inputs: as `read_inputs` gave them.

    Raises:
        ImportRefusedError: ONNX Runtime does not load it.
    """

    def __init__(self, model: ModelProto, inputs: Sequence[ModelInput]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exception classes share no base but this one
            raise ImportRefusedError(
                "",
                f"ONNX Runtime does not load it: {first_line(error)}",
                "Export it again, with an opset that ONNX Runtime knows, such as 17",
            ) from error
        self._inputs = inputs
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._batch = inputs[0].batch

    def __call__(self, rows: NDArray[np.float32]) -> Answers:
        """Return every output for rows (n, k), where n is a multiple of a fixed batch.

        Raises:
            ImportRefusedError: the model does not answer, or not with one row per event.
        """
        step = self._batch or len(rows)
        parts = [self._run(rows[start : start + step]) for start in range(0, len(rows), step)]
        return {
            name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else first
            for name, first in parts[0].items()
        }

    def one_by_one(self, rows: NDArray[np.float32]) -> Answers:
        """Return every output for rows (n, k), each asked for alone."""
        parts = [self._run(rows[i : i + 1]) for i in range(len(rows))]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, rows: NDArray[np.float32]) -> Answers:
        feed, column = {}, 0
        for each in self._inputs:
            width = rows.shape[1] if len(self._inputs) == 1 else (each.width or 1)
            part = rows[:, column : column + width]
            column += width
            with np.errstate(over="ignore", invalid="ignore"):
                part = part.astype(each.dtype)
            feed[each.name] = np.ascontiguousarray(part[:, 0] if each.rank == 1 else part)
        try:
            values = self._session.run(self._outputs, feed)
        except Exception as error:
            raise ImportRefusedError(
                "",
                f"it does not answer {len(rows)} row(s): {first_line(error)}",
                "A model has to answer any number of events, with any number in any column, a "
                "category that it has never seen too",
            ) from error
        answers = {}
        for name, value in zip(self._outputs, values, strict=True):
            array = np.asarray(value)
            if array.ndim == 0 or len(array) != len(rows):
                raise ImportRefusedError(
                    f"output {name!r}",
                    f"for {len(rows)} row(s) it has the shape {array.shape}, not a row each",
                    "Export it with a dynamic batch, and a score for each event",
                )
            answers[name] = array
        return answers
