"""A forest in NVIDIA's nvForest, on the GPU where there is one, else on the CPU."""

import warnings
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.forest.columns import TreeError
from inference.forest.forest import Forest


class NvForest:
    """Answers margins of rows, in double.

    Any number of threads may ask at once; they are answered one after the other.

    Attributes:
        device: ``gpu`` or ``cpu``.

    Raises:
        TreeError: the extra ``nvforest`` is not installed, or cannot be loaded here, or refuses
            the forest.
    """

    def __init__(self, forest: Forest) -> None:
        self._derive = forest.derive
        self._lock = Lock()
        self._takes_infinity = bool(np.isposinf(forest.threshold).any())
        try:
            import nvforest
            from treelite import TreeliteError
        except (ImportError, OSError) as error:
            raise TreeError(
                f"engine.nvforest is on, and nvForest cannot be loaded ({error}): pip install "
                "'weir[nvforest]', or turn it off"
            ) from error
        try:
            with warnings.catch_warnings():
                # What it brings may be older than the Treelite beside it, and says so.
                warnings.simplefilter("ignore", UserWarning)
                # In double, as libraries train: its float32 leaves would cost 1e-6 of the score.
                self._model: Any = nvforest.load_from_treelite_model(
                    _treelite_of(forest), device="auto", precision="double"
                )
        except (TreeliteError, RuntimeError, ValueError) as error:
            raise TreeError(f"nvForest does not take these trees: {error}") from error
        self.device = "gpu" if type(self._model).__name__.startswith("GPU") else "cpu"

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the margins (n,) of contiguous rows (n, k)."""
        wide = self._derive(rows).astype(np.float64)
        if self._takes_infinity:
            # It compares by `<` with the next larger number, and infinity has none.
            np.minimum(wide, np.finfo(np.float64).max, out=wide)
        with self._lock:
            margins = self._model.predict(wide)
            if self.device == "gpu":
                margins = margins.get()
        flat: NDArray[np.float64] = margins.reshape(len(rows))
        return flat


def _treelite_of(forest: Forest) -> Any:
    """Return a forest as a model of Treelite, which is what nvForest reads."""
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    trees = len(forest.roots)
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(
            num_feature=forest.width + len(forest.derived),
            task_type="kRegressor",
            average_tree_output=False,
            num_target=1,
            num_class=[1],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=trees, target_id=[0] * trees, class_id=[0] * trees),
        postprocessor=PostProcessorFunc(name="identity"),
        base_scores=[forest.base],
    )
    is_leaf = forest.is_leaf.tolist()
    column, threshold = forest.column.tolist(), forest.threshold.tolist()
    missing_left, value = forest.missing_left.tolist(), forest.value.tolist()
    left, right = forest.left.tolist(), forest.right.tolist()
    for root, end in pairwise([*forest.roots.tolist(), len(is_leaf)]):
        builder.start_tree()
        for node in range(root, end):
            builder.start_node(node - root)
            if is_leaf[node]:
                builder.leaf(value[node])
            else:
                builder.numerical_test(
                    feature_id=column[node],
                    threshold=threshold[node],
                    default_left=missing_left[node],
                    opname="<=",
                    left_child_key=left[node] - root,
                    right_child_key=right[node] - root,
                )
            builder.end_node()
        builder.end_tree()
    return builder.commit()
