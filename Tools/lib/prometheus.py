"""Prometheus and promtool as Debian packages them, unpacked into the scratch directory and not installed.

python3 Tools/lib/prometheus.py [DIRECTORY] prints the directory of both programs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRATCH = pathlib.Path(os.environ.get("TOLLGATE_SCRATCH", ROOT / ".build"))


def programs(directory=SCRATCH / "prometheus"):
    """The directory that `prometheus` and `promtool` are in: of the system, else of Debian's package, which is fetched once."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return pathlib.Path(shutil.which("promtool")).parent
    directory = pathlib.Path(directory)
    found = directory / "usr/bin"
    if (found / "promtool").exists():
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Two that fetch it at a time do not see each other's half.
    with tempfile.TemporaryDirectory(dir=directory.parent) as work:
        # apt-get drops root's powers for what it downloads.
        os.chmod(work, 0o777)
        done = subprocess.run(
            ["apt-get", "download", "-q", "prometheus"], cwd=work, capture_output=True, text=True, timeout=300
        )
        packages = list(pathlib.Path(work).glob("prometheus_*.deb"))
        if done.returncode != 0 or len(packages) != 1:
            raise RuntimeError(f"apt-get download prometheus failed: {done.stdout}{done.stderr}")
        subprocess.run(["dpkg-deb", "-x", packages[0], f"{work}/unpacked"], check=True, timeout=300)
        try:
            os.rename(f"{work}/unpacked", directory)
        except OSError:
            if not (found / "promtool").exists():
                raise
    return found


if __name__ == "__main__":
    print(programs(*sys.argv[1:2]))
