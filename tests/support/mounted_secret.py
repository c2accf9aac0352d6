"""A Secret as the kubelet mounts it: files are links into a directory that one link names, and that link is swapped."""

import itertools
import shutil
from pathlib import Path


class MountedSecret:
    """One file of a Secret in a directory; `update` brings another content, in one step for whoever reads."""

    def __init__(self, directory: Path, name: str, content: bytes) -> None:
        self._directory = directory
        self._name = name
        self._numbers = itertools.count(1)
        directory.mkdir(parents=True, exist_ok=True)
        self.update(content)
        (directory / name).symlink_to(Path("..data") / name)

    def update(self, content: bytes) -> None:
        """Write the new files into a new directory, swap the link, remove the old directory."""
        data = self._directory / "..data"
        before = data.resolve() if data.is_symlink() else None
        after = self._directory / f"..2026_{next(self._numbers)}"
        after.mkdir(mode=0o755)
        (after / self._name).write_bytes(content)
        (after / self._name).chmod(0o440)
        link = self._directory / "..data_tmp"
        link.symlink_to(after.name)
        link.rename(data)
        if before is not None:
            shutil.rmtree(before)
