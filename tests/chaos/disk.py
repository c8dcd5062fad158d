"""The broker's disk, small enough to be filled: a tmpfs of its own, where one may be mounted."""

import shutil
import subprocess
from pathlib import Path

_SIZE = "6g"
_BLOCK = 4_096


class Disk:
    """A folder that can run out of space.

    Attributes:
        can_fill: whether it can; not without the right to mount (root, or ``unshare -rm``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        options = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "weir-chaos", str(folder)]
        self.can_fill = _succeeds(options)

    def fill(self) -> None:
        """Leave no byte free: what is there stays readable, every new page is refused (ENOSPC)."""
        used = shutil.disk_usage(self.folder).used
        self._resize(str(max(used, _BLOCK)))

    def free(self) -> None:
        """Make it large again."""
        self._resize(_SIZE)

    def close(self, keep_in: Path | None) -> None:
        """Unmount it; with `keep_in`, its content is copied there first."""
        if keep_in is not None and self.can_fill:
            shutil.copytree(self.folder, keep_in, dirs_exist_ok=True)
        if self.can_fill:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def _resize(self, size: str) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True, capture_output=True)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
