"""`tollgate config check` and `print`, and what SIGHUP says about settings (docs/cli.md)."""

import json
import signal
import subprocess

import pytest
from conftest import BINARY, EXAMPLE, Server
from control import eventually


def config(*arguments, **environment):
    return subprocess.run(
        [BINARY, "config", *map(str, arguments)], capture_output=True, text=True, timeout=60, env={"PATH": "/", **environment})


def test_print_says_what_holds_and_where_it_comes_from(tmp_path):
    file = tmp_path / "tollgate.yaml"
    file.write_text("threads: 3\nbrand-name: 'Umbrella: and Sons'\ndrain-timeout: 5s\n")
    arguments = ("--config", file, "--max-tenants", "50", "--insecure-no-auth")
    shown = config("print", "--output", "json", *arguments, TOLLGATE_THREADS="4")
    assert shown.returncode == 0, shown.stderr
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert rows["threads"] == {"name": "threads", "value": "4", "source": "environment", "place": "TOLLGATE_THREADS"}
    assert rows["drain-timeout"] == {"name": "drain-timeout", "value": "5s", "source": "file", "place": str(file)}
    assert rows["max-tenants"] == {"name": "max-tenants", "value": "50", "source": "flag", "place": "--max-tenants"}
    assert rows["durability"] == {"name": "durability", "value": "sync", "source": "default", "place": None}
    assert rows["limits"]["value"] is None
    table = config("print", "--changed", *arguments).stdout.splitlines()
    assert table[0].split() == ["SETTING", "VALUE", "SOURCE", "PLACE"] and len(table) == 6
    # The YAML is a configuration file that says the same.
    again = tmp_path / "again.yaml"
    again.write_text(config("print", "--output", "yaml", *arguments, TOLLGATE_THREADS="4").stdout)
    values = {row["name"]: row["value"] for row in json.loads(config("print", "--output=json", "--config", again).stdout)}
    assert values == {name: row["value"] for name, row in rows.items()}


def test_check_lists_every_mistake(tmp_path):
    file = tmp_path / "tollgate.yaml"
    file.write_text("thread: 3\ndurability: never\nhttp-listen: nowhere\n")
    checked = config("check", "--config", file, "--threads", "0")
    assert checked.returncode == 64 and not checked.stdout
    lines = checked.stderr.splitlines()
    assert len(lines) == 4 and all(line.startswith("tollgate: ") for line in lines)
    for word in ('"thread" is not a setting', "durability in", "http-listen in", "--threads must be"):
        assert any(word in line for line in lines), lines
    # Of settings that are right by themselves, what does not go together.
    together = config("check", "--smtp-host", "mail", "--journal-maximum", "8MiB", "--tls-key", "key.pem")
    assert together.returncode == 64
    for word in ("smtp-from", "four segments", "must be given together"):
        assert word in together.stderr


def test_a_ca_file_that_is_too_long_is_refused_alike(tmp_path):
    """What the check lets pass, a start lets pass, and the other way round."""
    large = tmp_path / "ca.pem"
    large.write_bytes(b"x" * ((1 << 20) + 1))
    mail = ("--smtp-host", "mail", "--smtp-from", "a@b.c", "--smtp-ca-file", large)
    serve = ["serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0", "--http-listen",
             "127.0.0.1:0"]
    for command, status in [(["config", "check"], 64), (serve, 69)]:
        refused = subprocess.run(
            [BINARY, *command, *map(str, mail)], capture_output=True, text=True, timeout=60)
        assert refused.returncode == status, refused
        assert f"smtp-ca-file: {large} is larger than 1048576 bytes" in refused.stderr


def test_check_reads_the_files_that_settings_name(tmp_path):
    bad = tmp_path / "limits.yaml"
    bad.write_text("tenants: 7\n")
    checked = config(
        "check", "--limits", bad, "--identities", tmp_path / "none.yaml", "--tls-certificate", "none.pem",
        "--tls-key", "none.pem", "--smtp-host", "mail", "--smtp-from", "a@b.c", "--smtp-user", "u",
        "--smtp-password-file", tmp_path / "password")
    assert checked.returncode == 64
    for name in ("limits.yaml", "none.yaml", "none.pem", "smtp-password-file"):
        assert name in checked.stderr, checked.stderr
    good = config("check", "--limits", EXAMPLE, "--data-dir", tmp_path / "data")
    assert good.returncode == 0 and "no mistakes: 2 of" in good.stdout, good.stderr
    # Nothing is made.
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["limits.example.com", "ftp://x", "https://", "https://u@x", "https://x/?a", "https://x/#a",
                                 "https://x y", "https://" + "x" * 130])
def test_a_public_url_must_be_one(url):
    checked = config("check", "--public-url", url)
    assert checked.returncode == 64 and "--public-url must be an absolute http or https URL" in checked.stderr


def test_a_signal_says_what_needs_a_restart(tmp_path):
    file = tmp_path / "tollgate.yaml"
    file.write_text("drain-timeout: 5s\n")
    server = Server("--config", str(file), "--max-tenants", "50")

    def said(*words):
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: any(all(word in line for word in words) for line in server.log), what=str(words))

    try:
        said("the configuration file has no changes")
        # A flag stands before the file, and 5000ms are 5 s.
        file.write_text("drain-timeout: 5000ms\nmax-tenants: 60\nthreads: 7\nbrand-name: Umbrella\n")
        said("changed settings take effect at the next start", "settings=threads,brand-name")
        file.write_text("thread: 7\n")
        said("the configuration file has mistakes; a restart would fail", "is not a setting")
    finally:
        assert server.stop() == 0
