"""Programs and libraries of Debian, unpacked beside the build instead of installed.

As a program: debian.py DIRECTORY NAME PACKAGE..., as `unpack`.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from runner import Violation

# Longest for one command of apt-get or dpkg-deb, in seconds.
LIMIT = 600


def unpack(work, name, packages):
    """Has the packages, and what they need that is not installed, unpacked in a directory of `work`: its path. Once for each
    list of packages; without the maintainers' scripts."""
    root = pathlib.Path(work) / "debian" / name
    stamp = root / ".complete"
    wanted = " ".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    archives = root / "archives"
    archives.mkdir(parents=True)
    try:
        download(packages, archives)
    except Violation:
        # The lists of packages may be missing or old.
        administrator = [] if os.geteuid() == 0 else ["sudo", "-n"]
        run([*administrator, "apt-get", "-q", "update"], archives)
        download(packages, archives)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg-deb", "-x", archive, root], archives)
    shutil.rmtree(archives)
    relink(root)
    stamp.write_text(wanted)
    return root


def relink(root):
    """Links that lead to where a package would be installed lead to where it is unpacked; those that lead to what is not
    unpacked since it is installed, to the system's."""
    for link in root.rglob("*"):
        if not link.is_symlink():
            continue
        target = os.path.normpath(os.path.join("/", link.parent.relative_to(root), os.readlink(link)))
        unpacked = root / target.lstrip("/")
        found = unpacked if os.path.lexists(unpacked) else pathlib.Path(target)
        if os.path.isabs(os.readlink(link)) or (found.exists() and not link.exists()):
            link.unlink()
            link.symlink_to(found)


def download(packages, archives):
    planned = run(["apt-get", "install", "-s", "--no-install-recommends", *packages], archives)
    names = re.findall(r"^Inst (\S+)", planned, re.M)
    # One that is installed is unpacked too: its files are looked for here.
    run(["apt-get", "download", "-q", *sorted({*names, *packages})], archives)


def run(arguments, directory):
    try:
        done = subprocess.run([str(argument) for argument in arguments], cwd=directory, capture_output=True, text=True,
                              timeout=LIMIT, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError as missing:
        raise Violation(f"{missing.filename} is needed to fetch Debian packages") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Violation(f"{' '.join(str(argument) for argument in arguments[:2])}: {' '.join(last)}")
    return done.stdout


def libraries(root):
    """The environment in which a program of `root` finds its libraries."""
    paths = [str(path) for path in (root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu", root / "usr/lib")
             if path.exists()]
    return {"LD_LIBRARY_PATH": ":".join(paths)}


if __name__ == "__main__":
    try:
        unpack(sys.argv[1], sys.argv[2], sys.argv[3:])
    except Violation as violation:
        sys.exit(f"debian.py: {violation}")
