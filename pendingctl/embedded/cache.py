"""What is created once and used by every server: a template of its data folder, and binaries that it can read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DatabaseFailed, InvalidInput
from .account import Account
from .binaries import Binaries

# Without --no-sync initdb takes ten times as long; a kept server syncs its own copy.
_INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--no-instructions",
)


def readable_binaries(binaries: Binaries, account: Account) -> Binaries:
    """Return binaries that the server's user can run: these, or a copy in root's cache.

    The user that root's server runs as cannot read a virtual environment below a closed folder such as /root.
    """
    if account.can_reach(binaries.directory):
        return binaries
    installation = binaries.directory.parent
    name = hashlib.sha256(f"{installation} {installation.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    package = installation.parent
    libraries = package.with_name(package.name + ".libs")

    def copy(target: Path) -> None:
        # The binaries find their libraries by relative paths, so the layout must stay the same.
        copied = target / package.name / installation.name
        try:
            shutil.copytree(installation, copied, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, target / libraries.name, symlinks=True)
        except shutil.Error as error:
            _, _, reason = error.args[0][-1]
            raise InvalidInput(f"the server's programs could not be copied to {target}: {reason}") from error
        target.chmod(0o755)

    bin_directory = Path(package.name, installation.name, "bin")
    copied = created_once(f"postgres-{binaries.version}-{name}", copy, proof=bin_directory / "postgres")
    directory = copied / bin_directory
    if not account.can_reach(directory):
        raise DatabaseFailed(f"user {account.name} can read neither {binaries.directory} nor {directory}")
    return Binaries(directory, binaries.major, binaries.version)


def template(binaries: Binaries, account: Account) -> Path:
    """Return a data folder as initdb creates it; copying it takes a tenth of the time."""

    def initialize(folder: Path) -> None:
        account.own(folder)
        account.run([binaries.directory / "initdb", *_INITDB, "-D", folder / "data"])

    # Two builds of one version may have different file formats, and other options give other files.
    build = hashlib.sha256(os.fsencode(binaries.directory) + " ".join(_INITDB).encode()).hexdigest()[:8]
    name = f"template-{binaries.version}-{build}-{account.uid}"
    return created_once(name, initialize, proof=Path("data/global/pg_control")) / "data"


def created_once(name: str, create: Callable[[Path], None], *, proof: Path) -> Path:
    """Return the folder of this name in the cache; `create` fills it when the folder or the file `proof` is missing.

    It is filled under another name and then renamed, so that no process ever sees part of it. One process at a time
    creates: otherwise one could mistake what another has just finished for a broken folder, and remove it while it is
    being copied.
    """
    cache = _cache_directory()
    folder = cache / name
    if (folder / proof).is_file():
        return folder
    with _exclusive(cache):
        if (folder / proof).is_file():
            return folder
        # Leftovers of a cleaner of temporary files, and of processes that were killed while they created.
        for broken in (folder, *cache.glob(f".{name}-*")):
            shutil.rmtree(broken, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            create(unfinished)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    # The kernel releases the lock however its holder ends; what runs under it is limited in time.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _cache_directory() -> Path:
    """Return a folder that this user can write to, and nobody else, since programs are run from it."""
    if os.geteuid() == 0:
        wanted = Path("/var/cache/pendingctl")
        mode = 0o755
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
        wanted = Path(home) / "pendingctl"
        mode = 0o700
    for folder in (wanted, Path(tempfile.gettempdir()) / f"pendingctl-cache-{os.geteuid()}"):
        try:
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
            status = folder.lstat()
        except OSError:
            continue
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        if is_own and os.access(folder, os.W_OK):
            return folder
    raise InvalidInput(
        f"there is no cache folder to write to: neither {wanted} nor one in {tempfile.gettempdir()}; "
        "set TMPDIR to a folder that can be written to"
    )
