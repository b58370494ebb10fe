"""The files that make rawdaq a source of SeisComP's SeedLink server: written, updated, removed.

A manifest beside the templates lists what was written, so that nothing else is ever changed or removed.
"""

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rawdaq.errors import RawdaqError

_SOURCES = Path(__file__).parent
_TEMPLATES = "share/templates/seedlink/rawdaq"
_PLUGIN = "share/plugins/seedlink/rawdaq_plugin"
_MANIFEST = f"{_TEMPLATES}/installed.json"

#: Where each file goes below SeisComP's root, and which of ours it is.
FILES: Mapping[str, str] = {
    _PLUGIN: "data/rawdaq_plugin",
    f"{_TEMPLATES}/seedlink_plugin.tpl": "data/seedlink_plugin.tpl",
    f"{_TEMPLATES}/setup.py": "handler.py",
    "etc/descriptions/seedlink_rawdaq.xml": "data/seedlink_rawdaq.xml",
}


class SeiscompError(RawdaqError):
    """SeisComP's files cannot be written or removed; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is installed below a root: files with the hash of their content, folders that were made for them."""

    files: Mapping[str, str]
    folders: tuple[str, ...]


def install(root: Path, python: str = sys.executable) -> list[str]:
    """Write the files below *root* and return those that were written; those that are there already stay untouched.

    Args:
        root: SeisComP's folder.
        python: the interpreter that has rawdaq, which the plugin is to run.

    Raises:
        SeiscompError: *root* is not a folder, or a file is in the way or cannot be written. No file is changed then,
            unless the disk failed.
    """
    if not root.is_dir():
        raise SeiscompError(f"{root} is not a folder; name the one that SeisComP is installed in")
    known = _read_manifest(root)
    contents = {target: _content(source, python) for target, source in FILES.items()}
    in_the_way = [target for target, content in contents.items() if _is_foreign(root / target, known, target, content)]
    if in_the_way:
        raise SeiscompError(
            f"not written by rawdaq, or changed since; move away or remove: {_listed(root, in_the_way)}; "
            "nothing was written"
        )
    try:
        return _write_all(root, known, contents)
    except OSError as error:
        raise SeiscompError(f"{error.filename} cannot be written: {error.strerror}") from error


def _content(source: str, python: str) -> bytes:
    return (_SOURCES / source).read_bytes().replace(b"@PYTHON@", os.fsencode(shlex.quote(python)))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_foreign(path: Path, known: _Manifest, target: str, content: bytes) -> bool:
    """Whether *path* holds something else than what was written before or would be written now."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return True
    return path.exists() and _hash(path.read_bytes()) not in (known.files.get(target), _hash(content))


def _write_all(root: Path, known: _Manifest, contents: Mapping[str, bytes]) -> list[str]:
    folders = [*known.folders, *(folder for folder in _folders(contents) if not (root / folder).exists())]
    for folder in folders:
        (root / folder).mkdir(exist_ok=True)
    # The manifest comes last: until then a file counts as ours because it has exactly our content.
    manifest = {
        "files": {**known.files, **{target: _hash(content) for target, content in contents.items()}},
        "folders": folders,
    }
    everything = {**contents, _MANIFEST: json.dumps(manifest, indent=2).encode() + b"\n"}
    written: list[str] = []
    for target, content in everything.items():
        if _write(root / target, content, 0o755 if target == _PLUGIN else 0o644):
            written.append(target)
    return [target for target in written if target != _MANIFEST]


def _folders(targets: Iterable[str]) -> list[str]:
    """Return the folders that *targets* are in, the outer before the inner."""
    parents = {str(parent) for target in targets for parent in PurePosixPath(target).parents}
    return sorted(parents - {"."})


def _write(path: Path, content: bytes, mode: int) -> bool:
    """Give *path* this *content* and *mode* in one step; return whether anything was changed."""
    if path.exists() and path.read_bytes() == content:
        if path.stat().st_mode & 0o777 == mode:
            return False
        path.chmod(mode)
        return True
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(content)
        new.chmod(mode)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return True


def uninstall(root: Path) -> list[str]:
    """Remove what `install` wrote below *root*, and the folders that it made, and return the files removed.

    Raises:
        SeiscompError: files that were changed since are still there, all others are gone; or the disk failed.
    """
    known = _read_manifest(root)
    changed = {target: digest for target, digest in known.files.items() if _is_changed(root / target, digest)}
    removed = [target for target in known.files if target not in changed and (root / target).exists()]
    try:
        for target in removed:
            _remove(root / target)
        if changed:
            left = json.dumps({"files": changed, "folders": known.folders}, indent=2).encode() + b"\n"
            _write(root / _MANIFEST, left, 0o644)
        else:
            _remove_rest(root, known.folders)
    except OSError as error:
        raise SeiscompError(f"{error.filename} cannot be removed: {error.strerror}") from error
    if changed:
        raise SeiscompError(
            f"changed since it was installed, not removed: {_listed(root, changed)}; "
            "remove it yourself, then run uninstall again"
        )
    return removed


def _is_changed(path: Path, digest: str) -> bool:
    return path.is_symlink() or (path.exists() and (not path.is_file() or _hash(path.read_bytes()) != digest))


def _remove(path: Path) -> None:
    """Remove *path*, and its compiled form that Python made when SeisComP loaded it."""
    cache = path.parent / "__pycache__"
    for compiled in cache.glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    if cache.is_dir() and not any(cache.iterdir()):
        cache.rmdir()
    path.unlink()


def _remove_rest(root: Path, folders: Iterable[str]) -> None:
    (root / _MANIFEST).unlink(missing_ok=True)
    for folder in reversed(list(folders)):
        path = root / folder
        if path.is_dir() and not any(path.iterdir()):  # other files may be in it by now
            path.rmdir()


def _read_manifest(root: Path) -> _Manifest:
    path = root / _MANIFEST
    try:
        values = json.loads(path.read_bytes())
        files = {str(target): str(digest) for target, digest in values["files"].items()}
        folders = tuple(str(folder) for folder in values["folders"])
    except FileNotFoundError:
        return _Manifest({}, ())
    except OSError as error:
        raise SeiscompError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SeiscompError(f"{path} is not what install wrote; remove it, then run install again") from error
    if any(".." in PurePosixPath(each).parts or each.startswith("/") for each in (*files, *folders)):
        raise SeiscompError(f"{path} names files outside of {root}; remove it, then run install again")
    return _Manifest(files, folders)


def _listed(root: Path, targets: Iterable[str]) -> str:
    return ", ".join(str(root / target) for target in targets)
