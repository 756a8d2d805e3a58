"""`tollgate journal repair`, and what was shown of the part that it cuts."""

import subprocess

import grpc
from conftest import BINARY, Server, request
from control import Rest, eventually

LIMITS = "tenants: [{id: acme, max_dids: 100}]"


def test_what_was_cut_is_not_shown(contract, tmp_path):
    data, limits = tmp_path / "data", tmp_path / "limits.yaml"
    limits.write_text(LIMITS)

    def live(assigned, shown):
        """One life: assigns DIDs, one a request, until the list shows as many as there should be."""
        server = Server("--data-dir", str(data), limits=limits)
        try:
            rest = Rest(server)

            def dids():
                [row] = rest.all("/v2/usage")
                [limit] = [limit for limit in row["limits"] if limit["limit"] == "tenant_dids"]
                return limit["committed"]

            with grpc.insecure_channel(server.endpoint) as channel:
                stub = contract.Stub(channel)
                for _ in range(assigned):
                    message = request(contract, "acme", dids=1, mode=contract.MODE_COMMIT)
                    assert stub.CheckAndReserve(message, timeout=60).decision == contract.DECISION_ALLOWED
                assert rest.limits("acme")["tenant_dids"]["committed"] == shown
            eventually(lambda: dids() == shown, what=f"a list that shows {shown}")
            assert server.stop() == 0
        finally:
            server.kill()

    live(1, shown=1)
    segment = min(data.glob("journal-*.log"))
    used = len(segment.read_bytes().rstrip(b"\0"))
    live(2, shown=3)
    content = bytearray(segment.read_bytes())
    content[used + 100] ^= 1
    segment.write_bytes(content)

    def journal(*arguments):
        return subprocess.run(
            [BINARY, "journal", *arguments, "--data-dir", str(data)], capture_output=True, text=True, timeout=60
        )

    refused = journal("verify")
    assert refused.returncode == 65, refused.stdout
    place = refused.stderr.split("--truncate-at ")[1].split("`")[0]
    repaired = journal("repair", "--truncate-at", place)
    assert repaired.returncode == 0, repaired.stderr
    assert "lists are rebuilt" in repaired.stdout
    # The journal grows beyond the place that the list had come to.
    live(5, shown=6)
