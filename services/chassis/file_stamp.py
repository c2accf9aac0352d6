"""Whether files have changed since they were last read, without reading them."""

from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]  # time, inode and size of each file; None where there is none


def stamp_of(*paths: Path) -> Stamp:
    """Return what changes with the files. Follows links, by which Kubernetes swaps what it mounts."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
