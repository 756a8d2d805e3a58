"""A Debian that is booted in namespaces of its own, with systemd as its first process: what a unit's lines do is seen there."""

import shutil

from runner import Violation

# Seconds from the boot to the end of what is tried.
LIMIT = 300
# Control groups, devices and temporary files of its own; then systemd, in a tree that has no other above it.
BOOT = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
# What is set there may be the whole machine's.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
umount -R sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup || exit 75
mkdir -p mnt
pivot_root . mnt
exec /usr/bin/env -i container=tollgate-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /bin/sh -c 'umount -l /mnt && exec /lib/systemd/systemd --log-target=console'
"""
TRIAL = """[Unit]
After=basic.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sh -eux /root/trial >/root/said 2>&1 && touch /root/passed; systemctl poweroff --force --force'

[Install]
WantedBy=multi-user.target
"""


def boot(context, log, root, trial):
    """Boots a root, in which systemd is installed, and has a script run there; False where no systemd can be booted.

    The script is of `sh -eux`; a Violation unless it ends well. It has a network of its own."""
    home = root / "root"
    (home / "trial").write_text(trial)
    units = root / "etc/systemd/system"
    (units / "trial.service").write_text(TRIAL)
    wanted = units / "multi-user.target.wants/trial.service"
    wanted.parent.mkdir(exist_ok=True)
    wanted.symlink_to("../trial.service")
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc", "--net"]
    output = context.run(log, [*command, "sh", "-c", BOOT, "boot", root], LIMIT)
    if output.status == 75:
        return False
    said = home / "said"
    if said.exists():
        shutil.copy(said, context.logs / f"{log}-said.log")
    if not (home / "passed").exists():
        last = said.read_text().splitlines()[-6:] if said.exists() else output.text.splitlines()[-6:]
        ended = f"not done within {LIMIT} s" if output.timed_out else "not as it must be"
        raise Violation(f"{ended} under systemd: {' | '.join(last)}\n  log: {context.logs / log}.log")
    return True
