"""Where the API listens: its Unix socket, HOME/api.json that tells clients, and the token for loopback TCP.

The caller holds the lock of the home, so nobody else of this home makes these files at the same time. Everything is
made with the mode it must have from its first moment on; nothing that belongs to another user, or that another user
could exchange, is used.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import struct
from pathlib import Path
from typing import Protocol

from p2pmarket.errors import HomeInUse, StartError

BACKLOG = 64
TOKEN_BYTES = 32


class SocketLike(Protocol):
    """A socket of the standard library or of trio."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


_CREDENTIALS = struct.Struct("3i")  # unix(7), SO_PEERCRED: pid, uid, gid


def bind_socket(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, mode 0600. Raises HomeInUse if another answers there, StartError."""
    _own_folder(path.parent)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        os.fchmod(sock.fileno(), 0o600)  # before bind: Linux gives the file this mode, so it is never wider
        sock.bind(os.fspath(path))
        path.chmod(0o600)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"the socket {path} cannot be made: {error.strerror or error}") from None
    except HomeInUse:
        sock.close()
        raise
    return sock


def same_user(sock: SocketLike) -> bool:
    """Whether the process at the other end of a Unix socket is of our user; True where the system cannot tell.

    The socket's mode says the same; this holds also if somebody opens its folder and file for others.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return bool(uid == os.getuid())


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by one of mode 0600, at once and whole; raises StartError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        draft.replace(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror or error}") from None


def token(path: Path) -> str:
    """The token for TCP, 256 bits in hex, made at first use; raises StartError if others can read it."""
    if not path.exists():
        write_private(path, secrets.token_hex(TOKEN_BYTES).encode())
    status = path.stat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise StartError(f"others can read {path}", hint=f"Remove it, a new one will be made: rm {path}")
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if len(text) < 2 * TOKEN_BYTES:
        raise StartError(f"{path} holds no token", hint=f"Remove it, a new one will be made: rm {path}")
    return text


def _own_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StartError(f"the folder {folder} cannot be made: {error.strerror or error}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StartError(f"{folder} is not a folder that only this user can change", hint=f"chmod 700 {folder}")


def _remove_dead(path: Path) -> None:
    """Remove what a daemon that died left at `path`; raises HomeInUse if it is alive, StartError if no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartError(f"{path} is in the way: it is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise HomeInUse(f"another daemon answers at {path}")
