"""Bad input of every kind: a clear status, nothing held, the connection and its other calls unharmed."""


import grpc
import pytest
from conftest import failure, quantities, request, usage

INVALID = grpc.StatusCode.INVALID_ARGUMENT
METHOD = "/tollgate.v1.LimitService/CheckAndReserve"


def raw(channel, method, body, **options):
    """Calls a method with bytes that no generated code would send."""
    call = channel.unary_unary(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    return failure(call, body, **options)


def field(number, wire, payload):
    return bytes([number << 3 | wire]) + payload


def text(number, data):
    return field(number, 2, bytes([len(data)]) + data)


BAD_CHECKS = {
    "no tenant": (dict(tenant_id=""), "10004", "/tenant_id"),
    "long tenant": (dict(tenant_id="x" * 65), "10015", "/tenant_id"),
    "NUL in the tenant": (dict(tenant_id="a\0b"), "10015", "/tenant_id"),
    "control character in the profile": (dict(messaging_profile_id="a\nb"), "10015", "/messaging_profile_id"),
    "long profile": (dict(messaging_profile_id="x" * 65), "10015", "/messaging_profile_id"),
    "long voice profile": (dict(voice_profile_id="x" * 65), "10015", "/voice_profile_id"),
    "both profiles": (dict(messaging_profile_id="a", voice_profile_id="b"), "10015", "/voice_profile_id"),
    "no action": (dict(action=0), "10004", "/action"),
    "unknown action": (dict(action=99), "10015", "/action"),
    "no quantities": (dict(quantities=[]), "10004", "/quantities"),
    "long key": (dict(idempotency_key="k" * 129), "10015", "/idempotency_key"),
    "short ttl": (dict(ttl_ms=999), "10015", "/ttl_ms"),
    "long ttl": (dict(ttl_ms=86_400_001), "10015", "/ttl_ms"),
    "unknown mode": (dict(mode=9), "10015", "/mode"),
    "unknown expiry policy": (dict(on_expiry=9), "10015", "/on_expiry"),
    "unknown overage policy": (dict(overage=9), "10015", "/overage"),
    "long reference": (dict(reference="r" * 65), "10015", "/reference"),
}


@pytest.mark.parametrize("name", BAD_CHECKS)
def test_bad_fields(contract, stub, name):
    fields, code, pointer = BAD_CHECKS[name]
    answer = failure(stub.CheckAndReserve, request(contract, **{"spend": 1, **fields}))
    assert (answer.code, answer.catalogue) == (INVALID, code), answer.message
    assert answer.pointers == [pointer]
    assert answer.details["ErrorInfo"].domain == "tollgate"
    assert answer.details["ErrorInfo"].reason.replace("_", "").isupper()
    assert "RetryInfo" not in answer.details
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


BAD_QUANTITIES = {
    "negative": ([(1, -1, 0)], "/quantities/0/amount"),
    "duplicate": ([(2, 1, 0), (2, 1, 0)], "/quantities/1/resource"),
    "unknown resource": ([(1, 1, 0), (9, 1, 0)], "/quantities/1/resource"),
    "no resource": ([(0, 1, 0)], "/quantities/0/resource"),
    "negative minimum": ([(1, 1, -1)], "/quantities/0/min_amount"),
    "minimum above the amount": ([(1, 1, 2)], "/quantities/0/min_amount"),
    "five": ([(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0), (1, 1, 0)], None),
}


@pytest.mark.parametrize("name", BAD_QUANTITIES)
def test_bad_quantities(contract, stub, name):
    rows, pointer = BAD_QUANTITIES[name]
    wanted = [contract.Quantity(resource=r, amount=a, min_amount=m) for r, a, m in rows]
    answer = failure(
        stub.CheckAndReserve, request(contract, quantities=wanted, mode=contract.MODE_PARTIAL)
    )
    assert answer.code == INVALID and answer.catalogue in ("10015", "10004")
    if pointer:
        assert answer.pointers == [pointer]
    assert all(counted == (0, 0) for counted in usage(contract, stub, "globex").values())


def test_overflow_is_refused_not_wrapped(contract, stub, check):
    most = 2**63 - 1
    assert check(spend=most).decision == contract.DECISION_ALLOWED
    answer = failure(stub.CheckAndReserve, request(contract, spend=1))
    assert (answer.code, answer.catalogue) == (INVALID, "10015")
    assert usage(contract, stub, "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, most)


def test_ids_at_the_edge_are_looked_up(contract, stub):
    for tenant in ["x" * 64, "é" * 32, " "]:
        assert failure(stub.CheckAndReserve, request(contract, tenant, spend=1)).code == grpc.StatusCode.NOT_FOUND


def test_invalid_utf8(contract, stub, channel):
    quantity = text(4, field(1, 0, b"\x01") + field(2, 0, b"\x01"))
    good = text(1, b"globex") + field(3, 0, b"\x06") + quantity
    for bad in (b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        answer = raw(channel, METHOD, text(1, bad) + field(3, 0, b"\x06") + quantity)
        assert (answer.code, answer.catalogue) == (INVALID, "10015")
        answer = raw(channel, METHOD, good + text(5, bad))
        assert answer.code == INVALID
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


@pytest.mark.parametrize(
    "body",
    [b"\x0a\x7fshort", b"\xff", b"\x08", b"\x0b", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x22\x02\x08"],
    ids=["cut", "tag", "value", "group", "length", "nested"],
)
def test_malformed_protobuf(contract, stub, channel, body):
    answer = raw(channel, METHOD, body)
    assert (answer.code, answer.catalogue) == (grpc.StatusCode.INTERNAL, "10023")
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def test_unknown_fields_are_ignored(contract, stub, channel):
    message = request(contract, spend=1).SerializeToString() + text(15, b"future")
    call = channel.unary_unary(METHOD, request_serializer=lambda b: b, response_deserializer=contract.CheckAndReserveResponse.FromString)
    assert call(message, timeout=60).decision == contract.DECISION_ALLOWED


def test_unknown_groups_are_ignored(contract, stub, channel):
    """Wire types 3 and 4: nobody writes them any more, and nobody who does not know a field may stumble over them."""
    inner = field(1, 3, b"") + field(2, 0, b"\x07") + field(1, 4, b"")
    group = field(15, 3, b"") + inner + text(3, b"x") + field(15, 4, b"")
    quantity = text(4, group + field(1, 0, b"\x01") + field(2, 0, b"\x01"))
    message = group + text(1, b"globex") + field(3, 0, b"\x06") + quantity + group
    call = channel.unary_unary(METHOD, request_serializer=lambda b: b, response_deserializer=contract.CheckAndReserveResponse.FromString)
    assert call(message, timeout=60).decision == contract.DECISION_ALLOWED
    assert raw(channel, METHOD, message + field(15, 4, b"")).code == grpc.StatusCode.INTERNAL


def test_oversized_message(contract, stub, channel):
    answer = raw(channel, METHOD, text(1, b"globex") + b"\x5a" + b"\xff\xff\x07" + b"r" * 131_071)
    assert answer.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def test_oversized_batch(contract, stub):
    requests = [request(contract, spend=1, reference="r" * 64, idempotency_key=str(i) * 10) for i in range(1_000)] * 12
    answer = failure(stub.CheckAndReserveBatch, contract.CheckAndReserveBatchRequest(requests=requests), timeout=60)
    assert answer.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, INVALID)


@pytest.mark.parametrize(
    "method",
    ["/tollgate.v1.LimitService/Nothing", "/tollgate.v2.LimitService/Commit", "/x", "/tollgate.v1.LimitService/commit"],
)
def test_unknown_methods(contract, stub, channel, method):
    assert raw(channel, method, b"").code == grpc.StatusCode.UNIMPLEMENTED
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def test_reservation_ids_out_of_range(contract, stub):
    for identifier in (0, 2**63, 2**64 - 1):
        for call, message in [
            (stub.Commit, contract.CommitRequest(reservation_id=identifier)),
            (stub.Release, contract.ReleaseRequest(reservation_id=identifier)),
            (stub.Extend, contract.ExtendRequest(reservation_id=identifier, ttl_ms=1_000)),
        ]:
            assert failure(call, message).code in (INVALID, grpc.StatusCode.NOT_FOUND)


def test_bad_settlements(contract, stub, check):
    held = check(spend=10)
    negative = failure(stub.Commit, contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, spend=-1)))
    assert (negative.code, negative.pointers) == (INVALID, ["/actual/0/amount"])
    extend = failure(stub.Extend, contract.ExtendRequest(reservation_id=held.reservation_id, ttl_ms=5))
    assert (extend.code, extend.pointers) == (INVALID, ["/ttl_ms"])
    mode = failure(stub.Extend, contract.ExtendRequest(reservation_id=held.reservation_id, ttl_ms=1_000, mode=contract.MODE_COMMIT))
    assert (mode.code, mode.pointers) == (INVALID, ["/mode"])
    assert usage(contract, stub, "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, 10)
