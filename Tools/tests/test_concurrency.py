"""64 concurrent callers on one cap: the admitted sum is exactly the cap."""

import concurrent.futures
import random

import grpc
import pytest
from conftest import USD, request, usage

CALLERS = 64
LIMITS = """
tenants:
  - id: spend
    monthly_spend_limit: "1.00"
    on_limit: block
    messaging_profiles:
      - {id: narrow, daily_spend_limit: "0.50", daily_spend_limit_enabled: true}
  - {id: counts, max_extensions: 500}
"""


def crowd(server, contract, work):
    """Runs work(stub, index) on 64 threads, each with a connection of its own."""

    def caller(index):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.endpoint, options=options) as channel:
            return work(contract.Stub(channel), index)

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(caller, range(CALLERS)))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_counts_are_exact(contract, serve, threads):
    server = serve("--threads", threads, limits=LIMITS)

    def work(stub, _):
        return sum(
            stub.CheckAndReserve(
                request(contract, "counts", extensions=1, mode=contract.MODE_COMMIT), timeout=60
            ).decision
            == contract.DECISION_ALLOWED
            for _ in range(20)
        )

    assert sum(crowd(server, contract, work)) == 500


def test_spend_fills_the_cap_exactly_while_holds_come_and_go(contract, serve):
    server = serve(limits=LIMITS)
    cent = USD // 100

    def work(stub, index):
        chance = random.Random(index)
        charged = 0
        for _ in range(20):
            answer = stub.CheckAndReserve(request(contract, "spend", spend=cent), timeout=60)
            if answer.decision != contract.DECISION_ALLOWED:
                continue
            if chance.random() < 0.3:
                stub.Release(contract.ReleaseRequest(reservation_id=answer.reservation_id), timeout=60)
            else:
                stub.Commit(contract.CommitRequest(reservation_id=answer.reservation_id), timeout=60)
                charged += cent
        return charged

    total = sum(crowd(server, contract, work))
    assert 0 < total <= USD
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        assert usage(contract, stub, "spend")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (total, 0)
        # What the last callers released when nobody asked any more is there for the next one, and no cent beyond.
        while stub.CheckAndReserve(
            request(contract, "spend", spend=cent, mode=contract.MODE_COMMIT), timeout=60
        ).decision == contract.DECISION_ALLOWED:
            total += cent
        assert usage(contract, stub, "spend")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (total, 0)
    assert total == USD


def test_two_limits_are_all_or_nothing(contract, serve):
    server = serve(limits=LIMITS)
    cent = USD // 100

    def work(stub, index):
        profile = "narrow" if index % 2 else ""
        charged = 0
        for _ in range(20):
            answer = stub.CheckAndReserve(
                request(contract, "spend", spend=cent, messaging_profile_id=profile, mode=contract.MODE_COMMIT),
                timeout=60,
            )
            charged += cent * (answer.decision == contract.DECISION_ALLOWED)
        return charged

    charged = crowd(server, contract, work)
    with grpc.insecure_channel(server.endpoint) as channel:
        counted = usage(contract, contract.Stub(channel), "spend", "narrow")
    assert counted[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (sum(charged), 0)
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (sum(charged[1::2]), 0)
    assert sum(charged) == USD and sum(charged[1::2]) <= USD // 2


def test_one_key_is_decided_once(contract, serve):
    server = serve(limits=LIMITS)

    def work(stub, _):
        answer = stub.CheckAndReserve(
            request(contract, "counts", extensions=7, idempotency_key="same"), timeout=60
        )
        return answer.reservation_id, answer.replayed

    answers = crowd(server, contract, work)
    assert len({identifier for identifier, _ in answers}) == 1
    assert sum(not replayed for _, replayed in answers) == 1
    with grpc.insecure_channel(server.endpoint) as channel:
        counted = usage(contract, contract.Stub(channel), "counts")
    assert counted[contract.LIMIT_KIND_TENANT_EXTENSIONS] == (0, 7)
