"""Batches and streams: order, independence, half-close."""

import queue
import threading

import grpc
from conftest import failure, request, usage


def test_batch_answers_in_order_and_fails_alone(contract, stub):
    requests = [
        request(contract, "initech", extensions=15),
        request(contract, "nobody", extensions=1),
        request(contract, "initech", extensions=10),
        request(contract, "initech", extensions=-1),
        request(contract, "initech", extensions=5, idempotency_key="b"),
        request(contract, "initech", extensions=5, idempotency_key="b"),
    ]
    results = stub.CheckAndReserveBatch(contract.CheckAndReserveBatchRequest(requests=requests), timeout=60).results
    assert len(results) == 6
    decisions = [result.response.decision for result in results]
    allowed, denied = contract.DECISION_ALLOWED, contract.DECISION_DENIED
    assert decisions == [allowed, 0, denied, 0, allowed, allowed]
    assert [result.status_code for result in results] == [0, 5, 0, 3, 0, 0]
    assert results[1].errors[0].code == "10005" and results[3].errors[0].code == "10015"
    assert results[5].response.replayed
    assert results[5].response.reservation_id == results[4].response.reservation_id
    assert usage(contract, stub, "initech")[contract.LIMIT_KIND_TENANT_EXTENSIONS] == (0, 20)


def test_batch_bounds(contract, stub):
    many = [request(contract, spend=1, mode=contract.MODE_CHECK_ONLY)] * 1_000
    answer = stub.CheckAndReserveBatch(contract.CheckAndReserveBatchRequest(requests=many), timeout=60)
    assert len(answer.results) == 1_000
    for requests in ([], many + many[:1]):
        refused = failure(stub.CheckAndReserveBatch, contract.CheckAndReserveBatchRequest(requests=requests))
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT


def test_stream_answers_all_after_half_close(contract, stub):
    requests = [request(contract, "initech", extensions=1, reference=str(index)) for index in range(1_000)]
    answers = list(stub.CheckAndReserveStream(iter(requests), timeout=60))
    assert len(answers) == 1_000
    decisions = [answer.decision for answer in answers]
    assert decisions == [contract.DECISION_ALLOWED] * 20 + [contract.DECISION_DENIED] * 980


def test_stream_is_interactive_and_survives_bad_entries(contract, stub):
    outgoing = queue.Queue()
    call = stub.CheckAndReserveStream(iter(outgoing.get, None), timeout=60)
    outgoing.put(request(contract, spend=1))
    first = next(call)
    assert first.decision == contract.DECISION_ALLOWED and first.status_code == 0
    outgoing.put(request(contract, "nobody", spend=1))
    second = next(call)
    assert second.status_code == 5 and second.errors[0].code == "10005"
    outgoing.put(request(contract, spend=1, idempotency_key="s"))
    outgoing.put(request(contract, spend=1, idempotency_key="s"))
    third, fourth = next(call), next(call)
    assert not third.replayed and fourth.replayed
    outgoing.put(None)
    assert list(call) == []
    assert call.code() == grpc.StatusCode.OK


def test_long_streams_are_no_attack(contract, stub):
    """A gRPC library sends window updates and pings all the time: they must not count against a busy stream."""
    outgoing = queue.Queue()
    call = stub.CheckAndReserveStream(iter(outgoing.get, None), timeout=300)
    message = request(contract, spend=1, include_limits=True)
    for _ in range(3_000):
        outgoing.put(message)
        assert next(call).decision == contract.DECISION_ALLOWED
    outgoing.put(None)
    assert list(call) == []
    answers = stub.CheckAndReserveStream(iter([message] * 5_000), timeout=300)
    assert sum(answer.decision == contract.DECISION_ALLOWED for answer in answers) == 5_000


def test_cancelled_stream_leaves_the_connection_unharmed(contract, stub):
    outgoing = queue.Queue()
    call = stub.CheckAndReserveStream(iter(outgoing.get, None))
    outgoing.put(request(contract, spend=1))
    next(call)
    call.cancel()
    outgoing.put(None)
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def test_many_streams_at_once(contract, stub):
    totals = []

    def play():
        requests = (request(contract, "acme", extensions=1) for _ in range(50))
        answers = list(stub.CheckAndReserveStream(requests, timeout=60))
        totals.append(sum(answer.decision == contract.DECISION_ALLOWED for answer in answers))

    threads = [threading.Thread(target=play) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(totals) == 16 and sum(totals) == 50
