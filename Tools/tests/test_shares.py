"""One tenant's caller and everybody's room, with the real binary: its share, and what an operator's action gives back."""

import grpc
import pytest
from conftest import failure, request
from control import Rest
from test_auth import bearer, make

BOUNDS = ["--max-reservations", "4096", "--max-remembered", "4096"]


@pytest.fixture
def guarded(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), *BOUNDS, auth=True)
    return server, (data / "operator-token").read_text().strip()


@pytest.fixture
def channel(guarded):
    with grpc.insecure_channel(guarded[0].endpoint) as channel:
        yield channel


def fill(contract, stub, tenant, metadata):
    """Holds until one is refused: how many were made, and the answer to the last."""
    made = 0
    while made < 5_000:
        entries = [request(contract, tenant, dids=0, on_expiry=contract.EXPIRY_POLICY_COMMIT, ttl_ms=86_400_000)
                   for _ in range(256)]
        batch = contract.CheckAndReserveBatchRequest(requests=entries)
        results = stub.CheckAndReserveBatch(batch, timeout=60, metadata=metadata).results
        codes = {result.status_code for result in results}
        made += sum(result.status_code == 0 for result in results)
        if codes != {0}:
            return made, codes
    return made, set()


def test_one_tenant_does_not_take_everybodys_room(contract, guarded, stub):
    server, operator = guarded
    greedy = bearer(make(guarded, "--scope", "check", "--tenant", "globex")[1])
    modest = bearer(make(guarded, "--scope", "check", "--tenant", "acme")[1])

    made, codes = fill(contract, stub, "globex", greedy)
    assert codes - {0} == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert 2_900 <= made <= 3_072
    refused = failure(stub.CheckAndReserve, request(contract, "globex", dids=0), metadata=greedy)
    assert (refused.code, refused.catalogue) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "10011")
    assert "RetryInfo" in refused.details
    # Nobody else: another tenant, and the operator, whose token is for all tenants.
    assert fill(contract, stub, "acme", modest)[0] >= 409
    held = stub.CheckAndReserve(request(contract, "globex", dids=1), timeout=60, metadata=bearer(operator))
    assert held.decision == contract.DECISION_ALLOWED

    # Suspended, the tenant holds nothing more, and what it held is charged to nobody.
    rest = Rest(server, operator)
    assert rest.get("/v2/reservations?filter[tenant_id]=globex").body["meta"]["total_results"] > 2_900
    assert rest.post("/v2/tenants/globex/actions/suspend", {"reason": "too greedy"}).status == 200
    assert rest.get("/v2/reservations?filter[tenant_id]=globex").body["meta"]["total_results"] == 0
    late = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60, metadata=greedy)
    assert late.late


def test_a_reservation_taken_for_another_tenants_is_not_found(contract, guarded, stub):
    operator = bearer(guarded[1])
    held = stub.CheckAndReserve(request(contract, "globex", dids=1), timeout=60, metadata=operator)
    id = held.reservation_id
    assert id >> 56 == 0
    for method, message in [
        (stub.Extend, contract.ExtendRequest(reservation_id=id, ttl_ms=1_000, tenant_id="acme")),
        (stub.Release, contract.ReleaseRequest(reservation_id=id, tenant_id="acme")),
        (stub.Commit, contract.CommitRequest(reservation_id=id, tenant_id="acme")),
    ]:
        answer = failure(method, message, metadata=operator)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")
    stub.Commit(contract.CommitRequest(reservation_id=id, tenant_id="globex"), timeout=60, metadata=operator)
