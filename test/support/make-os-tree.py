"""Makes a directory tree with everything that ostree can hold and others get wrong. Needs root: owners, trusted.* xattrs.

usage: make-os-tree.py DIR            the tree
       make-os-tree.py DIR --change   changes some of it: the next commit
       make-os-tree.py DIR --large    adds a file of 1 GiB
Deterministic: the same bytes every time.
"""
import os
import shutil
import struct
import sys

ROOT = os.fsencode(sys.argv[1])
DEPTH = 200
MANY = 5000
LARGE_BYTES = 1 << 30

# every size at which something changes: inline in a commit stream (2 digests), inline in an image, blocks, levels of a Merkle tree
SIZES = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65535, 65536, 65537,
         128 * 4096 - 1, 128 * 4096, 128 * 4096 + 1, 3_000_000]

NAMES = [
    " ", "  leading and trailing  ", "-rf", "--", "...", ".hidden", "~", "*", "?", "[a]", "{a,b}", "$HOME", "`id`", "a;b", "a&b", "a|b",
    "a'b", 'a"b', "a\\b", "\\x41", "%2F", "%00", "a\nb", "a\tb", "a\rb", "\x01", "\x7f", "a=b", "a:b", "#", "@", "!",
    "\u00e9", "e\u0301", "\u00df", "\u4e2d\u6587", "\U0001f600", "\u202e", "\ufeff", "\ufffd", "\u0085", "\u2028", "\U0010ffff",
    "CON", "con.", "lost+found", ".wh.a", ".wh..wh..opq", ".ostree", "a" * 255, "\u4e2d" * 85,
]


def path(name):
    return os.path.join(ROOT, name if isinstance(name, bytes) else os.fsencode(name))


def content(size, seed=b"a"):
    """`size` bytes that differ from page to page."""
    return b"".join(b"%s %15d\n" % (seed, line) for line in range(size // 18 + 1))[:size]


def directory(name, mode=0o755, owner=(0, 0), xattrs=()):
    os.makedirs(path(name), exist_ok=True)
    dress(name, mode, owner, xattrs)


def file(name, data=b"", mode=0o644, owner=(0, 0), xattrs=()):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data)
    dress(name, mode, owner, xattrs)


def symlink(name, target, owner=(0, 0), xattrs=()):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    os.symlink(target, path(name))
    dress(name, None, owner, xattrs)


def dress(name, mode, owner, xattrs):
    os.chown(path(name), *owner, follow_symlinks=False)  # first: it clears setuid and capabilities
    if mode is not None:
        os.chmod(path(name), mode)
    for key, value in xattrs:
        os.setxattr(path(name), key, value, follow_symlinks=False)


def acl(*entries):
    """Value of system.posix_acl_*: (tag, permissions, id) each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
ACL = acl((1, 7, NOBODY), (2, 4, 1000), (4, 5, NOBODY), (16, 5, NOBODY), (32, 5, NOBODY))
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)  # cap_net_admin, effective


def make():
    os.makedirs(ROOT)
    dress("", 0o755, (0, 0), [("user.on-root", b"the root directory has xattrs too"), ("trusted.on-root", b"\0")])
    for size in SIZES:
        file(f"sizes/{size}", content(size))
        file(f"sizes/owned-{size}", content(size), 0o600, (1000, 1000))  # same content, another ostree object
    file("empty/a")
    file("empty/b", mode=0o4755)
    file("empty/c", xattrs=[("user.empty-value", b"")])
    directory("empty/directory")
    directory("empty/private", 0o700, (1000, 100))
    for mode in (0o4755, 0o2755, 0o6711, 0o1644, 0o7777, 0o000, 0o777, 0o400):
        file(f"modes/file-{mode:o}", b"mode %o\n" % mode, mode)
        directory(f"modes/directory-{mode:o}", mode)
        file(f"modes/directory-{mode:o}/file", b"below\n")
    for uid in (0, 1, 999, 65534, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFE):
        file(f"owners/{uid}", b"owner\n", 0o4750, (uid, 0))
        file(f"owners/group-{uid}", b"owner\n", 0o2750, (0, uid))
        symlink(f"owners/link-{uid}", "target", (uid, uid))
    for number, name in enumerate(NAMES):
        file(b"names/" + name.encode(), b"name %d\n" % number)
        directory(b"names-of-directories/" + name.encode())
        symlink(b"names-of-targets/%d" % number, name.encode())
    for length in (1, 59, 60, 255, 1023, 3900, 4095):
        symlink(f"symlinks/{length}", "a/" * (length // 2) + "b" * (length % 2))
    symlink("symlinks/absolute", "/usr/bin/true")
    symlink("symlinks/up", "../../../..")
    symlink("symlinks/dressed", "dressed", (1, 2), [("trusted.of-link", b"value"), ("security.of-link", b"\xff\0")])
    file("links/first", content(10_000, b"linked"))
    os.makedirs(path("links/below"))
    for other in ("links/second", "links/below/third"):
        os.link(path("links/first"), path(other))
    file("links/small", b"small")
    os.link(path("links/small"), path("links/small-too"))
    symlink("links/symlink", "first")
    os.link(path("links/symlink"), path("links/symlink-too"), follow_symlinks=False)
    xattrs()
    for number in range(MANY):
        name = f"{number:04d}-{'x' * (number % 40)}"
        file(f"many/{name}", b"%d\n" % (number // 2), 0o644 if number % 3 else 0o755)
    deep = ""
    for level in range(DEPTH):
        deep = os.path.join(deep, f"deep{level % 10}")
    file(os.path.join(deep, "bottom"), content(5000, b"bottom"))
    file("change/content", b"before\n")
    file("change/large", content(1_000_000, b"before"))
    file("change/mode", b"same\n", 0o644)
    file("change/type", b"file\n")
    file("change/removed/file", b"removed\n")
    file("change/kept", b"kept\n")


def xattrs():
    file("xattrs/user", b"x\n", xattrs=[("user.a", b"1"), ("user.b", b"2"), ("user.\u00e9", b"name"), ("user.binary", bytes(range(256)))])
    file("xattrs/shared-1", b"1\n", xattrs=[("user.shared", b"s" * 100)])
    file("xattrs/shared-2", b"2\n", xattrs=[("user.shared", b"s" * 100)])
    file("xattrs/large", b"l\n", xattrs=[("user.large", content(2000))])
    file("xattrs/many", b"m\n", xattrs=[(f"user.number-{number}", b"%d" % number) for number in range(40)])
    file("xattrs/long-name", b"n\n", xattrs=[("user." + "n" * 250, b"long")])
    file("xattrs/capability", content(5000), 0o755, xattrs=[("security.capability", CAPABILITY)])
    file("xattrs/selinux", b"s\n", xattrs=[("security.selinux", b"system_u:object_r:usr_t:s0\0")])
    file("xattrs/acl", b"a\n", 0o755, xattrs=[("system.posix_acl_access", ACL)])
    directory("xattrs/acl-directory", 0o755, xattrs=[("system.posix_acl_access", ACL), ("system.posix_acl_default", ACL)])
    # names that mean something to overlayfs: an image has to escape them
    directory("xattrs/opaque", xattrs=[("trusted.overlay.opaque", b"y")])
    file("xattrs/opaque/below", b"visible\n")
    file("xattrs/metacopy", content(5000), xattrs=[("trusted.overlay.metacopy", b""), ("trusted.overlay.overlay.x", b"twice")])
    file("xattrs/redirect", content(5000), xattrs=[("trusted.overlay.redirect", b"/elsewhere")])
    file("xattrs/user-overlay", b"u\n", xattrs=[("user.overlay.opaque", b"y")])
    file("xattrs/trusted", b"t\n", xattrs=[("trusted.a", b""), ("trusted.overlayish", b"no dot")])


def change():
    file("change/content", b"after\n")
    file("change/large", content(1_000_000, b"after"))
    dress("change/mode", 0o600, (1000, 1000), [("user.new", b"new")])
    os.unlink(path("change/type"))
    symlink("change/type", "content")
    shutil.rmtree(path("change/removed"))
    file("change/added/file", b"added\n")
    dress("many", 0o750, (0, 0), ())


def large():
    page = bytearray(content(1 << 20, b"large"))
    with open(path("large"), "wb") as f:
        for number in range(LARGE_BYTES >> 20):
            page[:8] = struct.pack("<Q", number)  # no two MiB alike
            f.write(page)
    dress("large", 0o644, (0, 0), [("user.large", b"1 GiB")])


os.umask(0o022)
{"--change": change, "--large": large}.get(sys.argv[2] if len(sys.argv) > 2 else "", make)()
