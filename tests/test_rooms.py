"""The house rules of imports: a room knows only the rooms below it, a folder only the floors below.

A floor is a folder, or several of one height that don't know one another. The files right in a room
are a floor of their own, named by the room.
"""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("streams", "inference", "explain", "monitoring", "weir")
"""From the ground up."""

FLOORS = {
    "streams": """
        streams/base
        streams/base/apart streams/base/sql
        streams/events
        streams/kafka/batches streams/kafka/connection
        streams/kafka
        streams/kafka/topics
        streams/kafka/rights streams/kafka/records streams/tracing
        streams/transactions
        streams/dead_letters
        streams/files
        streams/features/kernels
        streams/features
        streams/spark
        streams/protoc
        streams/formats
        streams
        streams/intake
        streams/snapshots
        streams/loop
        streams/loop/fused streams/loop/stateless
        streams/stages/common
        streams/stages/join streams/stages/route streams/stages/entity
        streams/stages/worker
        streams/stages
        streams/replay
    """,
    "inference": """
        inference
        inference/engine inference/forest inference/weak_labels
        inference/packages
        inference/backends/tensorrt
        inference/backends
        inference/policy
        inference/control
        inference/shadow/statistics
        inference/routing
        inference/approve_through
        inference/serving
        inference/evaluation
        inference/shadow
        inference/shadow/comparison
        inference/shadow/joining
        inference/canary
        inference/gates
        inference/training
        inference/training/search
        inference/importing/static
        inference/importing/sandbox
        inference/importing/build
        inference/importing
    """,
    "explain": """
        explain
        explain/exact
        explain/record
        explain/lime
        explain/reasons
        explain/writing
        explain/store/roles
        explain/store
        explain/store/checking
        explain/store/people
        explain/reports
        explain/reports/pages
        explain/quality
        explain/workers
    """,
    "monitoring": """
        monitoring
        monitoring/statistics monitoring/breakage monitoring/alerts monitoring/ops
        monitoring/archive
        monitoring/counting monitoring/performance/cohorts
        monitoring/episodes
        monitoring/stream
        monitoring/drift monitoring/performance
        monitoring/losses
        monitoring/retraining/jobs
        monitoring/retraining
        monitoring/workers
    """,
    "weir": """
        weir/broker weir/simulator weir/reasons
        weir/spark
        weir/config
        weir/cli
        weir/services/http
        weir/services
        weir/services/candidates weir/training weir/retraining
        weir/demo weir/dossier
        weir/demo/story weir/episodes
        weir/commands/models weir/commands/explanations
        weir/commands/services
        weir/commands/cluster
        weir/commands
        weir
    """,
}
"""Each room's floors, from the ground up: a line a floor, of one folder or several."""


def folder_of(parts: tuple[str, ...]) -> str | None:
    """The folder of a module or package, None where it is none of ours."""
    if parts[0] not in ROOMS:
        return None
    path = ROOT.joinpath(*parts)
    return "/".join(parts if path.is_dir() else parts[:-1])


def imported_folders(file: Path) -> set[str]:
    """The folders of the house that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {folder_of(tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: import by full name, not relatively"
            parts = tuple(node.module.split("."))
            for alias in node.names:
                module = ROOT.joinpath(*parts, f"{alias.name}.py")
                found.add(folder_of((*parts, alias.name) if module.exists() else parts))
    return {folder for folder in found if folder is not None}


def heights() -> dict[str, int]:
    """How high each folder lies, over all rooms."""
    height, found = 0, {}
    for room in ROOMS:
        for line in FLOORS[room].strip().splitlines():
            height += 1
            found |= dict.fromkeys(line.split(), height)
    return found


HEIGHTS = heights()
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


def upward(file: Path, folder: str) -> list[str]:
    """The folders that a file of this folder must not import from, and does."""
    return sorted(
        other
        for other in imported_folders(file)
        if other != folder and HEIGHTS[other] >= HEIGHTS[folder]
    )


def test_no_arrow_runs_upwards() -> None:
    wrong = []
    for file in FILES:
        folder, name = str(file.parent.relative_to(ROOT)), file.relative_to(ROOT)
        assert folder in HEIGHTS, f"{folder} is on no floor: give it one in FLOORS"
        wrong += [
            f"{name} imports from {other}, on no floor below {folder}"
            for other in upward(file, folder)
        ]
    assert not wrong, "\n".join(wrong)


def test_every_folder_says_what_lives_in_it() -> None:
    for folder in HEIGHTS:
        text = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
        assert text, f"{folder}/__init__.py says nothing"


def test_a_wrong_arrow_is_found(tmp_path: Path) -> None:
    """From room to room, from floor to floor, and between folders of one floor."""
    file = tmp_path / "wrong.py"
    file.write_text(
        "from weir.config.settings import Settings\n"
        "import inference.policy.policy\n"
        "from streams.loop.growth import Growth\n"
        "from streams.stages.join.joiner import Joiner\n"
        "from streams.kafka import client\n"
        "import numpy\n"
    )
    assert upward(file, "streams/stages/route") == [
        "inference/policy",
        "streams/stages/join",
        "weir/config",
    ]
    assert upward(file, "streams/base") == [
        "inference/policy",
        "streams/kafka",
        "streams/loop",
        "streams/stages/join",
        "weir/config",
    ]
    assert upward(file, "weir/commands") == []


def test_no_two_modules_of_tests_share_a_name() -> None:
    """Python imports them by their names alone: pytest would refuse to collect the second one."""
    files = [
        file
        for file in (ROOT / "tests").rglob("*.py")
        if not (file.parent / "__init__.py").exists() and file.name != "conftest.py"
    ]
    names = Counter(file.name for file in files)
    assert [name for name, count in names.items() if count > 1] == []
