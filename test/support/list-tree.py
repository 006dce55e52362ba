"""Lists a directory tree, one JSON object a line, in byte order of the paths. For comparing trees; reads everything.

usage: list-tree.py DIR
Paths and targets are percent-encoded where they are not plain ASCII, xattr values are hexadecimal.
"""
import hashlib
import json
import os
import stat
import sys
from urllib.parse import quote_from_bytes

KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFCHR: "character",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def quoted(name):
    return quote_from_bytes(name, safe="/ !#$&'()*+,:;=?@[]^`{|}")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def describe(path, relative):
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    names = sorted(os.listxattr(path, follow_symlinks=False))
    entry = {
        "path": quoted(relative), "kind": kind, "mode": f"{stat.S_IMODE(status.st_mode):04o}", "uid": status.st_uid, "gid": status.st_gid,
        "xattrs": {quoted(os.fsencode(name)): os.getxattr(path, name, follow_symlinks=False).hex() for name in names},
    }
    if kind == "file":
        entry |= {"sizeBytes": status.st_size, "sha256": sha256(path), "mtimeNanoseconds": str(status.st_mtime_ns)}
    elif kind == "symlink":
        entry["target"] = quoted(os.readlink(path))
    elif kind in ("character", "block"):
        entry["device"] = status.st_rdev
    return entry


def walk(path, relative):
    entry = describe(path, relative)
    print(json.dumps(entry))
    if entry["kind"] == "directory":
        for name in sorted(os.listdir(path)):
            walk(os.path.join(path, name), os.path.join(relative, name))


sys.setrecursionlimit(10_000)
walk(os.fsencode(sys.argv[1]), b"/")
