"""What is made once and used by every server: a template of a data folder, and binaries that it can read."""

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

# Without --no-sync initdb takes ten times as long; a kept server syncs the copy it makes.
_INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--no-instructions",
)


def readable_binaries(binaries: Binaries, account: Account) -> Binaries:
    """Return binaries that the server's user can run: these, or a copy that root keeps.

    A virtual environment below a closed folder such as /root cannot be read by the user that root's server runs as.
    """
    if account.can_reach(binaries.directory):
        return binaries
    installation = binaries.directory.parent
    name = hashlib.sha256(f"{installation} {installation.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    package = installation.parent
    libraries = package.with_name(package.name + ".libs")

    def copy(target: Path) -> None:
        # The binaries find their libraries by a relative path, so the layout stays.
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
    copied = _made_once(f"postgres-{binaries.version}-{name}", copy, proof=bin_directory / "postgres")
    directory = copied / bin_directory
    if not account.can_reach(directory):
        raise DatabaseFailed(f"user {account.name} can read neither {binaries.directory} nor {directory}")
    return Binaries(directory, binaries.major, binaries.version)


def template(binaries: Binaries, account: Account) -> Path:
    """Return a data folder as initdb made it; copying it takes a tenth of the time."""

    def initialize(folder: Path) -> None:
        account.own(folder)
        account.run([binaries.directory / "initdb", *_INITDB, "-D", folder / "data"])

    # Two builds of one version may lay their files out differently, and so do other options.
    build = hashlib.sha256(os.fsencode(binaries.directory) + " ".join(_INITDB).encode()).hexdigest()[:8]
    name = f"template-{binaries.version}-{build}-{account.uid}"
    return _made_once(name, initialize, proof=Path("data/global/pg_control")) / "data"


def _made_once(name: str, make: Callable[[Path], None], *, proof: Path) -> Path:
    """Return the folder of this name in the cache, made by `make` when it, or the `proof` in it, is not there.

    Made under another name and then renamed, so that nobody ever sees a part of it. One at a time makes: otherwise
    one could take what another has just finished for a broken one, and remove it from under a copy.
    """
    cache = _cache_directory()
    made = cache / name
    if (made / proof).is_file():
        return made
    with _alone_in(cache):
        if (made / proof).is_file():
            return made
        # What a cleaner of temporary files has left of it, and what makers left that were killed.
        for broken in (made, *cache.glob(f".{name}-*")):
            shutil.rmtree(broken, ignore_errors=True)
        making = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            make(making)
            making.rename(made)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return made


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    # The kernel gives the lock back however its holder ends; what is made under it is bounded in time.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _cache_directory() -> Path:
    """A folder that this user can write to, and nobody else: programs are run from it."""
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
