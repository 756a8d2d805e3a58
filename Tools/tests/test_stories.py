"""The stories of the partner guide and the spend-limit page, word for word."""

from conftest import USD, request, usage

PROFILE = "be3eb60a-a346-470a-886c-ab4e421711bd"


def test_one_cent_profile(contract, stub, check):
    def send(spend, **fields):
        return check(
            "acme", spend=spend, messaging_profile_id=PROFILE,
            action=contract.ACTION_SEND_MESSAGE, mode=contract.MODE_COMMIT, **fields
        )

    assert send(4_000_000).decision == contract.DECISION_ALLOWED
    # Using exactly the cap is allowed.
    assert send(6_000_000).decision == contract.DECISION_ALLOWED
    denied = send(1)
    assert denied.decision == contract.DECISION_DENIED
    assert denied.treatment == contract.TREATMENT_REJECT
    assert denied.tenant_status == contract.TENANT_STATUS_ACTIVE
    [error] = denied.errors
    assert error.code == "40333"
    assert error.title == "Messaging profile spend limit reached"
    assert error.detail == "The daily spend limit configured on this messaging profile has been reached"
    assert error.meta.url == "https://developers.telnyx.com/docs/overview/errors/40333"
    assert error.limit == contract.LIMIT_KIND_PROFILE_DAILY_SPEND
    assert (error.state.cap, error.state.committed, error.state.held) == (10_000_000, 10_000_000, 0)
    assert error.resets_at_ms % 86_400_000 == 0 and error.resets_at_ms > 0
    # An amount of zero is never refused by a limit.
    assert send(0).decision == contract.DECISION_ALLOWED
    # Nothing of the denied request was counted, on either limit.
    counted = usage(contract, stub, "acme", PROFILE)
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (10_000_000, 0)
    assert counted[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (10_000_000, 0)


def test_disabled_profile_limit_counts_but_never_refuses(contract, stub, check):
    answer = check(
        "globex", spend=5 * USD, messaging_profile_id="globex-promo", mode=contract.MODE_COMMIT
    )
    assert answer.decision == contract.DECISION_ALLOWED
    counted = usage(contract, stub, "globex", "globex-promo")
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (5 * USD, 0)


def test_ten_thousand_extensions_overnight(contract, check):
    for _ in range(20):
        assert check("initech", extensions=1, mode=contract.MODE_COMMIT).decision == contract.DECISION_ALLOWED
    denied = check("initech", extensions=1)
    assert [error.code for error in denied.errors] == ["49002"]
    # Auto-suspend is off: the tenant keeps running.
    assert denied.tenant_status == contract.TENANT_STATUS_ACTIVE
    assert check("initech", dids=1).decision == contract.DECISION_ALLOWED


def test_runaway_dialer_is_suspended(contract, stub, check):
    minutes = 5_000 * 60
    assert check("acme", call_seconds=minutes - 60, mode=contract.MODE_COMMIT).decision == contract.DECISION_ALLOWED
    tripped = check("acme", call_seconds=61, action=contract.ACTION_OUTBOUND_CALL)
    assert [error.code for error in tripped.errors] == ["49004"]
    assert tripped.tenant_status == contract.TENANT_STATUS_SUSPENDED
    for action, treatment in [
        (contract.ACTION_INBOUND_CALL, contract.TREATMENT_SERVICE_INTERRUPTED),
        (contract.ACTION_OUTBOUND_CALL, contract.TREATMENT_BLOCK_CALL),
        (contract.ACTION_SEND_MESSAGE, contract.TREATMENT_BILLING_SUSPENDED),
    ]:
        answer = check("acme", call_seconds=1, action=action)
        assert answer.decision == contract.DECISION_DENIED
        assert [error.code for error in answer.errors] == ["20012"]
        assert answer.treatment == treatment
    assert stub.GetUsage(contract.GetUsageRequest(tenant_id="acme")).tenant_status == contract.TENANT_STATUS_SUSPENDED


def test_others_holds_deny_but_do_not_trip(contract, check):
    assert check("acme", dids=10).decision == contract.DECISION_ALLOWED
    denied = check("acme", dids=1)
    assert [error.code for error in denied.errors] == ["49003"]
    assert denied.tenant_status == contract.TENANT_STATUS_ACTIVE


def test_every_limit_that_refuses_is_named_and_none_is_held(contract, stub, check):
    answer = check("acme", spend=501 * USD, extensions=51, dids=1, messaging_profile_id=PROFILE)
    assert sorted(error.code for error in answer.errors) == ["40333", "49001", "49002"]
    counted = usage(contract, stub, "acme", PROFILE)
    assert all(amounts == (0, 0) for amounts in counted.values())


def test_request_helper_is_what_it_says(contract):
    assert request(contract, spend=1).quantities[0].resource == contract.RESOURCE_SPEND
