"""The broker's disk, small enough to be filled: a tmpfs of its own, where one may be mounted."""

import shutil
import subprocess
from pathlib import Path

_SIZE = "6g"
_ROOM = 64 << 10
_ATTEMPTS = 20


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
        """Leave next to nothing free: what is there stays, soon every new page is refused."""
        for attempt in range(1, _ATTEMPTS + 1):
            # It is written to meanwhile, and can't be made smaller than what it holds.
            used = shutil.disk_usage(self.folder).used
            if self._resize(str(used + attempt * _ROOM)):
                return
        raise OSError(f"{self.folder} grows too fast to be filled")

    def free(self) -> None:
        """Make it large again."""
        if not self._resize(_SIZE):
            raise OSError(f"{self.folder} can't be made larger again")

    def close(self, keep_in: Path | None) -> None:
        """Unmount it; with `keep_in`, its content is copied there first."""
        if keep_in is not None and self.can_fill:
            shutil.copytree(self.folder, keep_in, dirs_exist_ok=True)
        if self.can_fill:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def _resize(self, size: str) -> bool:
        return _succeeds(["mount", "-o", f"remount,size={size}", str(self.folder)])


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
