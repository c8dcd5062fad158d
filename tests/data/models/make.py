"""Exports one small model per framework, with the framework's own answers: see README.md.

Run with the frameworks' own interpreters, for none of them is a dependency of Weir:

    python make.py torch | sklearn | boosting | keras | jax

Each model is written as NAME.onnx, as the framework's exporter writes it, and NAME.npz:

    features     float32 (n, 6), raw rows, among them some far from all others
    probability  float64 (n,), what the framework itself answers, of fraud
    mean, scale  float32 (6,), where the model expects scaled features
"""

import os
import re
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

HERE = Path(__file__).parent
NAMES = ("amount", "count_1d", "amount_7d", "hour", "risk_30d", "device_age")


def payments(rows, seed):
    """Rows without missing values, and labels."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3.5, 0.8, rows)
    count = rng.poisson(3, rows)
    risk = rng.beta(0.5, 12, rows)
    hour = rng.integers(0, 24, rows)
    age = rng.exponential(200, rows)
    margin = -5.5 + 0.012 * amount + 0.35 * count + 9 * risk
    labels = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    matrix = np.column_stack([amount, count, amount * count, hour, risk, age])
    return matrix.astype(np.float32), labels


MATRIX, LABELS = payments(3_000, seed=3)
MEAN, SCALE = MATRIX.mean(axis=0), MATRIX.std(axis=0)
GOLDEN = np.concatenate([payments(60, seed=4)[0], MATRIX[:4] * [[10], [0], [-1], [0.1]]]).astype(
    np.float32
)


def write(name, model, probability, rows=GOLDEN, **more):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (HERE / f"{name}.onnx").write_bytes(data)
    probability = np.asarray(probability, np.float64).reshape(-1)
    np.savez_compressed(HERE / f"{name}.npz", features=rows, probability=probability, **more)
    print(
        f"{name}: {len(data):,} bytes, answers {probability.min():.3g} to {probability.max():.3g}"
    )


def make_torch():
    """By both exporters: TorchScript (batch norm, dropout, sigmoid), and dynamo (scaled, logit)."""
    import torch
    from torch import nn

    torch.manual_seed(5)
    torch.set_num_threads(1)
    rows, labels = torch.from_numpy(MATRIX), torch.from_numpy(LABELS.astype(np.float32))

    def fit(model, rows):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(rows).squeeze(1), labels)
            loss.backward()
            optimizer.step()
        return model.eval()

    normed = nn.Sequential(
        nn.BatchNorm1d(6), nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)
    )
    normed = nn.Sequential(fit(normed, rows), nn.Sigmoid()).eval()
    golden = torch.from_numpy(GOLDEN)
    with torch.no_grad():
        answers = normed(golden).numpy()
    for name, axes in (
        ("torch_script", {"features": {0: "batch"}, "fraud": {0: "batch"}}),
        ("torch_fixed_batch", None),
    ):
        torch.onnx.export(
            normed,
            (golden[:1],),
            str(HERE / f"{name}.onnx"),
            input_names=["features"],
            output_names=["fraud"],
            dynamic_axes=axes,
            dynamo=False,
        )
        write(name, (HERE / f"{name}.onnx").read_bytes(), answers)

    scaled = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))
    scaled = fit(scaled, (rows - MEAN) / SCALE)
    with torch.no_grad():
        answers = torch.sigmoid(scaled((golden - MEAN) / SCALE)).numpy()
    program = torch.onnx.export(
        scaled,
        (golden[:2],),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        output_names=["logit"],
    )
    exported = program.model_proto
    for node in exported.graph.node:
        for note in node.metadata_props:  # stack traces, with the folders of whoever exports
            note.value = re.sub(r'"/[^"]*site-packages/', '"site-packages/', note.value)
            note.value = re.sub(r'"/[^"]*/', '"', note.value)
    write("torch_dynamo", exported, answers, mean=MEAN, scale=SCALE)


def make_sklearn():
    """A pipeline with ZipMap, a random forest, boosting, and an input per column."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import RobustScaler, StandardScaler

    def answers(model, rows=GOLDEN):
        return model.predict_proba(rows)[:, 1]

    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(MATRIX, LABELS)
    write("sklearn_logistic", to_onnx(logistic, MATRIX[:1]), answers(logistic))
    words = np.where(LABELS == 1, "fraud", "genuine")
    worded = make_pipeline(StandardScaler(), LogisticRegression()).fit(MATRIX, words)
    write("sklearn_words", to_onnx(worded, MATRIX[:1]), worded.predict_proba(GOLDEN)[:, 0])
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(MATRIX, LABELS)
    write("sklearn_forest", to_onnx(forest, MATRIX[:1]), answers(forest))
    boosting = GradientBoostingClassifier(n_estimators=30, random_state=0).fit(MATRIX, LABELS)
    plain = to_onnx(boosting, MATRIX[:1], options={"zipmap": False})
    write("sklearn_boosting", plain, answers(boosting))

    import pandas as pd

    chosen = [NAMES[4], NAMES[0], NAMES[1]]
    frame = pd.DataFrame(MATRIX, columns=NAMES)[chosen]
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("robust", RobustScaler(), [NAMES[0], NAMES[1]]),
                ("as it is", "passthrough", chosen[:1]),
            ]
        ),
        LogisticRegression(),
    ).fit(frame, LABELS)
    inputs = [(name, FloatTensorType([None, 1])) for name in chosen]
    own = pipeline.predict_proba(pd.DataFrame(GOLDEN, columns=NAMES)[chosen])[:, 1]
    write("sklearn_columns", to_onnx(pipeline, initial_types=inputs), own)


def make_boosting():
    """LightGBM and XGBoost, by onnxmltools; both know missing values."""
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    rng = np.random.default_rng(6)
    matrix, golden = MATRIX.copy(), GOLDEN.copy()
    for rows in (matrix, golden):
        rows[rng.random(len(rows)) < 0.2, 5] = np.nan
    inputs = [("input", FloatTensorType([None, 6]))]
    model = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=8, verbose=-1, n_jobs=1)
    model.fit(matrix, LABELS)
    own = model.predict_proba(golden)[:, 1]
    write("lightgbm", convert_lightgbm(model, initial_types=inputs), own, golden)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(matrix, LABELS)
    own = model.predict_proba(golden)[:, 1]
    write("xgboost", convert_xgboost(model, initial_types=inputs), own, golden)


def make_keras():
    """Networks with layers of their own for scaling, by Keras's export, which is tf2onnx.

    The constants of a Normalization layer come out as further inputs: that one is to be refused.
    """
    import keras

    def export(name, first):
        keras.utils.set_random_seed(7)
        model = keras.Sequential(
            [
                keras.Input((6,), name="features"),
                first,
                keras.layers.Dense(16, activation="relu"),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
        model.fit(MATRIX, LABELS, epochs=20, batch_size=256, verbose=0)
        path = HERE / f"{name}.onnx"
        model.export(path, format="onnx", verbose=False)
        write(name, path.read_bytes(), model(GOLDEN, training=False).numpy())

    export("keras", keras.layers.BatchNormalization(momentum=0.9))
    normalise = keras.layers.Normalization()
    normalise.adapt(MATRIX)
    export("keras_normalization", normalise)


def make_jax():
    """A two-layer network of softmax, by jax2onnx."""
    import jax
    import jax.numpy as jnp
    from jax2onnx import to_onnx

    rng = np.random.default_rng(8)
    weights = [
        jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32)
        for shape in ((6, 12), (12,), (12, 2), (2,))
    ]

    def forward(weights, rows):
        hidden = jnp.tanh(((rows - MEAN) / SCALE) @ weights[0] + weights[1])
        return jax.nn.softmax(hidden @ weights[2] + weights[3])

    @jax.jit
    def step(weights):
        def loss(weights):
            chosen = forward(weights, MATRIX)[jnp.arange(len(LABELS)), LABELS]
            return -jnp.log(chosen + 1e-9).mean()

        return [w - 0.5 * g for w, g in zip(weights, jax.grad(loss)(weights), strict=True)]

    for _ in range(200):
        weights = step(weights)
    exported = to_onnx(lambda rows: forward(weights, rows), [("B", 6)], model_name="fraud")
    write("jax", exported, np.asarray(forward(weights, GOLDEN))[:, 1])


if __name__ == "__main__":
    for framework in sys.argv[1:]:
        globals()[f"make_{framework}"]()
