"""Every method of LimitService, and samples of its precise semantics."""

import time

import grpc
from conftest import USD, failure, quantities, request, usage


def now_ms():
    return time.time() * 1_000


def test_reserve_commit_release(contract, stub, check):
    spend = contract.LIMIT_KIND_TENANT_MONTHLY_SPEND
    before = now_ms()
    held = check(spend=10 * USD, include_limits=True)
    after = now_ms()
    assert held.decision == contract.DECISION_ALLOWED
    assert 0 < held.reservation_id < 2**63
    assert before + 59_000 < held.expires_at_ms < after + 61_000
    assert usage(contract, stub, "globex")[spend] == (0, 10 * USD)
    limits = {state.limit: state for state in held.limits}
    assert limits[spend].held == 10 * USD and not limits[spend].HasField("cap")

    first = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, 4 * USD)))
    assert [(q.resource, q.amount) for q in first.committed] == [(contract.RESOURCE_SPEND, 4 * USD)]
    assert not first.replayed and not first.late
    # Less than was held frees the rest.
    assert usage(contract, stub, "globex")[spend] == (4 * USD, 0)
    again = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, 4 * USD)))
    assert again.replayed and again.committed == first.committed
    assert usage(contract, stub, "globex")[spend] == (4 * USD, 0)
    other = failure(stub.Commit, contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, 5 * USD)))
    assert (other.code, other.catalogue) == (grpc.StatusCode.FAILED_PRECONDITION, "49203")
    late = failure(stub.Release, contract.ReleaseRequest(reservation_id=held.reservation_id))
    assert (late.code, late.catalogue) == (grpc.StatusCode.FAILED_PRECONDITION, "49203")

    freed = check(spend=USD)
    assert not stub.Release(contract.ReleaseRequest(reservation_id=freed.reservation_id)).replayed
    assert stub.Release(contract.ReleaseRequest(reservation_id=freed.reservation_id)).replayed
    assert usage(contract, stub, "globex")[spend] == (4 * USD, 0)
    gone = failure(stub.Commit, contract.CommitRequest(reservation_id=freed.reservation_id))
    assert (gone.code, gone.catalogue) == (grpc.StatusCode.FAILED_PRECONDITION, "49203")


def test_commit_without_actual_charges_what_was_held(contract, stub, check):
    held = check(spend=3 * USD, call_seconds=60)
    answer = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id))
    assert {q.resource: q.amount for q in answer.committed} == {1: 3 * USD, 4: 60}


def test_unknown_reservation(contract, stub):
    for call, message in [
        (stub.Commit, contract.CommitRequest(reservation_id=12345)),
        (stub.Release, contract.ReleaseRequest(reservation_id=12345)),
        (stub.Extend, contract.ExtendRequest(reservation_id=12345, ttl_ms=1_000)),
    ]:
        answer = failure(call, message)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")


def test_check_only_changes_nothing(contract, stub, check):
    answer = check("initech", extensions=20, mode=contract.MODE_CHECK_ONLY)
    assert answer.decision == contract.DECISION_ALLOWED and answer.reservation_id == 0
    assert check("initech", extensions=21, mode=contract.MODE_CHECK_ONLY).decision == contract.DECISION_DENIED
    assert usage(contract, stub, "initech")[contract.LIMIT_KIND_TENANT_EXTENSIONS] == (0, 0)


def test_partial_holds_what_fits(contract, check):
    answer = check("initech", extensions=40, mode=contract.MODE_PARTIAL)
    assert answer.decision == contract.DECISION_ALLOWED
    assert [(q.resource, q.amount) for q in answer.granted] == [(contract.RESOURCE_EXTENSIONS, 20)]
    assert check("initech", extensions=1, mode=contract.MODE_PARTIAL).decision == contract.DECISION_DENIED


def test_partial_is_one_common_fraction(contract, check):
    answer = check("initech", extensions=40, call_seconds=101, mode=contract.MODE_PARTIAL)
    assert {q.resource: q.amount for q in answer.granted} == {2: 20, 4: 50}


def test_partial_below_the_minimum_is_a_denial(contract, check):
    wanted = [contract.Quantity(resource=contract.RESOURCE_EXTENSIONS, amount=40, min_amount=21)]
    answer = check("initech", quantities=wanted, mode=contract.MODE_PARTIAL)
    assert answer.decision == contract.DECISION_DENIED
    assert [error.code for error in answer.errors] == ["49002"]


def test_overage_policies(contract, stub, check):
    def commit(policy):
        held = check("initech", extensions=5, overage=policy)
        return lambda: stub.Commit(
            contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, extensions=18)),
            timeout=60,
        ), held

    rejected, held = commit(contract.OVERAGE_POLICY_REJECT)
    answer = failure(lambda timeout: rejected())
    assert (answer.code, answer.catalogue) == (grpc.StatusCode.FAILED_PRECONDITION, "49204")
    # The hold stands.
    assert usage(contract, stub, "initech")[contract.LIMIT_KIND_TENANT_EXTENSIONS] == (0, 5)
    stub.Release(contract.ReleaseRequest(reservation_id=held.reservation_id))

    assert check("initech", extensions=10, mode=contract.MODE_COMMIT).decision == contract.DECISION_ALLOWED
    capped, _ = commit(contract.OVERAGE_POLICY_CAP)
    answer = capped()
    assert [q.amount for q in answer.committed] == [10]
    assert [q.amount for q in answer.uncharged] == [8]

    stub.RecordUsage(contract.RecordUsageRequest(tenant_id="initech", action=contract.ACTION_CHARGE, quantities=quantities(contract, extensions=-20)))
    recorded, _ = commit(contract.OVERAGE_POLICY_RECORD)
    assert [q.amount for q in recorded().committed] == [18]


def test_extend_pushes_the_expiry_and_holds_more(contract, stub, check):
    held = check("initech", extensions=5, ttl_ms=60_000)
    more = contract.ExtendRequest(
        reservation_id=held.reservation_id, ttl_ms=120_000, additional=quantities(contract, extensions=15),
        idempotency_key="e1",
    )
    answer = stub.Extend(more)
    assert answer.decision == contract.DECISION_ALLOWED
    assert answer.expires_at_ms > held.expires_at_ms + 50_000
    extensions = contract.LIMIT_KIND_TENANT_EXTENSIONS
    assert usage(contract, stub, "initech")[extensions] == (0, 20)
    again = stub.Extend(more)
    assert again.replayed and usage(contract, stub, "initech")[extensions] == (0, 20)
    denied = stub.Extend(
        contract.ExtendRequest(reservation_id=held.reservation_id, additional=quantities(contract, extensions=1))
    )
    assert denied.decision == contract.DECISION_DENIED
    assert [error.code for error in denied.errors] == ["49002"]
    assert denied.expires_at_ms == answer.expires_at_ms
    # A shorter ttl never moves the expiry back.
    kept = stub.Extend(contract.ExtendRequest(reservation_id=held.reservation_id, ttl_ms=1_000))
    assert kept.expires_at_ms == answer.expires_at_ms


def wait_until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def test_expiry_frees_and_late_commit_is_recorded(contract, stub, check):
    extensions = contract.LIMIT_KIND_TENANT_EXTENSIONS
    # In one call: the hold is there for the second, however slow the machine is.
    both = [request(contract, "initech", extensions=20, ttl_ms=1_000), request(contract, "initech", extensions=1)]
    results = stub.CheckAndReserveBatch(contract.CheckAndReserveBatchRequest(requests=both), timeout=60).results
    held, denied = (result.response for result in results)
    assert held.decision == contract.DECISION_ALLOWED and denied.decision == contract.DECISION_DENIED
    # Never early, and at most a second late; nobody can tell while answers themselves are slow, which is taken off.
    answered, slow = now_ms(), 0

    def is_freed():
        nonlocal answered, slow
        freed = usage(contract, stub, "initech")[extensions] == (0, 0)
        before, answered = answered, now_ms()
        slow += max(0, answered - before - 100)
        return freed

    wait_until(is_freed)
    over = answered - held.expires_at_ms
    assert 0 <= over < 1_000 + slow, f"expired {over} ms after its time, answers were {slow} ms late"
    gone = failure(stub.Extend, contract.ExtendRequest(reservation_id=held.reservation_id, ttl_ms=1_000))
    assert (gone.code, gone.catalogue) == (grpc.StatusCode.FAILED_PRECONDITION, "49202")
    late = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id))
    assert late.late and [q.amount for q in late.committed] == [20]
    assert usage(contract, stub, "initech")[extensions] == (20, 0)


def test_release_after_expiry_says_so(contract, stub, check):
    held = check(spend=USD, ttl_ms=1_000)
    spend = contract.LIMIT_KIND_TENANT_MONTHLY_SPEND
    wait_until(lambda: usage(contract, stub, "globex")[spend] == (0, 0))
    assert stub.Release(contract.ReleaseRequest(reservation_id=held.reservation_id)).expired


def test_expiry_by_commit_charges(contract, stub, check):
    held = check(spend=USD, ttl_ms=1_000, on_expiry=contract.EXPIRY_POLICY_COMMIT)
    spend = contract.LIMIT_KIND_TENANT_MONTHLY_SPEND
    wait_until(lambda: usage(contract, stub, "globex")[spend] == (USD, 0))
    # The late commit replaces the provisional charge, once.
    late = stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id, actual=quantities(contract, USD // 4)))
    assert late.late
    assert usage(contract, stub, "globex")[spend] == (USD // 4, 0)


def test_idempotency_keys(contract, stub, check):
    first = check(spend=USD, idempotency_key="k")
    again = check(spend=USD, idempotency_key="k")
    assert again.replayed and not first.replayed
    assert (again.reservation_id, again.expires_at_ms) == (first.reservation_id, first.expires_at_ms)
    # Defaults count as their values, quantities in any order, include_limits not at all.
    assert check(spend=USD, idempotency_key="k", ttl_ms=60_000, mode=contract.MODE_RESERVE, include_limits=True).replayed
    other = failure(stub.CheckAndReserve, request(contract, spend=2 * USD, idempotency_key="k"))
    assert (other.code, other.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "49201")
    # One key space per tenant, across methods.
    method = failure(
        stub.RecordUsage,
        contract.RecordUsageRequest(tenant_id="globex", action=contract.ACTION_CHARGE, quantities=quantities(contract, USD), idempotency_key="k"),
    )
    assert method.catalogue == "49201"
    assert not check("initech", spend=USD, idempotency_key="k").replayed
    # CHECK_ONLY neither looks up nor stores.
    assert not check(spend=USD, idempotency_key="k", mode=contract.MODE_CHECK_ONLY).replayed
    spend = contract.LIMIT_KIND_TENANT_MONTHLY_SPEND
    assert usage(contract, stub, "globex")[spend] == (0, USD)


def test_a_denial_is_no_stored_answer(contract, stub, check):
    held = check("initech", extensions=20)
    for _ in range(2):
        denied = check("initech", extensions=1, idempotency_key="d")
        assert denied.decision == contract.DECISION_DENIED and not denied.replayed
        assert [error.code for error in denied.errors] == ["49002"]
    # The key is bound to its content all the same ...
    other = failure(stub.CheckAndReserve, request(contract, "initech", extensions=2, idempotency_key="d"))
    assert (other.code, other.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "49201")
    # ... and once there is room, a retry is allowed, and remembered.
    stub.Release(contract.ReleaseRequest(reservation_id=held.reservation_id))
    allowed = check("initech", extensions=1, idempotency_key="d")
    assert allowed.decision == contract.DECISION_ALLOWED and not allowed.replayed
    again = check("initech", extensions=1, idempotency_key="d")
    assert again.replayed and again.reservation_id == allowed.reservation_id
    assert usage(contract, stub, "initech")[contract.LIMIT_KIND_TENANT_EXTENSIONS] == (0, 1)


def test_fields_without_meaning_are_no_content(contract, stub, check):
    def charge(**fields):
        return check(spend=USD, idempotency_key="c", mode=contract.MODE_COMMIT, **fields)

    assert not charge().replayed
    assert charge(ttl_ms=5_000, on_expiry=contract.EXPIRY_POLICY_COMMIT, overage=contract.OVERAGE_POLICY_CAP).replayed
    zero = request(contract, spend=USD, idempotency_key="c", mode=contract.MODE_COMMIT)
    zero.quantities.add(resource=contract.RESOURCE_DIDS, amount=0)
    assert stub.CheckAndReserve(zero).replayed
    assert not check(spend=USD, idempotency_key="h").replayed
    other = failure(stub.CheckAndReserve, request(contract, spend=USD, idempotency_key="h", ttl_ms=5_000))
    assert other.catalogue == "49201"


def test_record_usage(contract, stub):
    def record(tenant_id="initech", **amounts):
        return contract.RecordUsageRequest(
            tenant_id=tenant_id, action=contract.ACTION_CHARGE, quantities=quantities(contract, **amounts)
        )

    # Never refused by a limit; limits that it passes come as warnings.
    answer = stub.RecordUsage(record(extensions=25))
    extensions = contract.LIMIT_KIND_TENANT_EXTENSIONS
    assert usage(contract, stub, "initech")[extensions] == (25, 0)
    assert [error.limit for error in answer.warnings] == [extensions]
    stub.RecordUsage(record(extensions=-25))
    assert usage(contract, stub, "initech")[extensions] == (0, 0)
    below = failure(stub.RecordUsage, record(extensions=-1))
    assert (below.code, below.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "10015")
    negative = failure(stub.RecordUsage, record(spend=-1))
    assert negative.code == grpc.StatusCode.INVALID_ARGUMENT


def test_usage(contract, stub):
    tenant = stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"))
    assert tenant.tenant_status == contract.TENANT_STATUS_ACTIVE
    caps = {state.limit: state.cap for state in tenant.limits if state.HasField("cap")}
    assert caps == {2: 500 * USD, 3: 50, 4: 10, 5: 300_000}
    assert [state.limit for state in tenant.limits] == [2, 3, 4, 5, 6, 7, 9]
    with_profile = stub.GetUsage(
        contract.GetUsageRequest(tenant_id="globex", messaging_profile_id="globex-bulk")
    )
    profile = {state.limit: state for state in with_profile.limits}[contract.LIMIT_KIND_PROFILE_DAILY_SPEND]
    assert profile.subject_id == "globex-bulk" and profile.cap == 1_000 * USD and profile.blocking
    assert profile.resets_at_ms - profile.window_start_ms == 86_400_000


def test_profiles_of_other_tenants_are_not_found(contract, stub):
    for message in [
        request(contract, "acme", spend=1, messaging_profile_id="globex-bulk"),
        request(contract, "acme", spend=1, messaging_profile_id="nobody"),
        request(contract, "nobody", spend=1),
    ]:
        answer = failure(stub.CheckAndReserve, message)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")


def test_alert_only_tenants_keep_running(contract, serve):
    server = serve(
        limits="""
tenants:
  - {id: off, monthly_spend_limit: "1.00", max_extensions: 1, auto_suspend: false}
  - {id: block, monthly_spend_limit: "1.00", auto_suspend: false, on_limit: block}
  - {id: alert, monthly_spend_limit: "1.00", max_extensions: 1, auto_suspend: true, on_limit: alert}
"""
    )
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)

        def charge(tenant, **amounts):
            return stub.CheckAndReserve(request(contract, tenant, mode=contract.MODE_COMMIT, **amounts), timeout=60)

        over = charge("off", spend=2 * USD)
        assert over.decision == contract.DECISION_ALLOWED
        assert [warning.code for warning in over.warnings] == ["49001"]
        assert charge("off", extensions=2).decision == contract.DECISION_DENIED
        assert charge("block", spend=2 * USD).decision == contract.DECISION_DENIED
        for amounts in [{"spend": 2 * USD}, {"extensions": 2}]:
            answer = charge("alert", **amounts)
            assert answer.decision == contract.DECISION_ALLOWED and len(answer.warnings) == 1
            assert answer.tenant_status == contract.TENANT_STATUS_ACTIVE


def test_denials_as_failures(contract, stub):
    message = request(contract, "initech", extensions=21)
    answer = failure(stub.CheckAndReserve, message, metadata=[("tollgate-deny", "status")])
    assert (answer.code, answer.catalogue) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "49002")
    assert answer.details["ErrorInfo"].domain == "tollgate"
    assert len(answer.details["QuotaFailure"].violations) == 1
