"""The examples of docs/reference/events.md have the members that real events have, in their order."""

import json
import re

import pytest
from conftest import EXAMPLE, ROOT
from control import Rest, eventually
from receivers import Receiver

PROFILE = "be3eb60a-a346-470a-886c-ab4e421711bd"
PAGE = (ROOT / "docs/reference/events.md").read_text()
# In the order of the page.
POSTED, OF_LIMIT, BY_OPERATOR, PROFILE_REACHED, PROFILE_THRESHOLD, LISTED = [
    json.loads(block) for block in re.findall(r"(?ms)^```json\n(.*?)^```$", PAGE)
]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def example(event):
    """The payload that the page shows for an event."""
    kind = event["event_type"]
    if kind.startswith("tenant."):
        by_operator = kind == "tenant.reinstated" or "limit" not in event["payload"]
        return BY_OPERATOR if by_operator else OF_LIMIT
    return PROFILE_THRESHOLD if kind.endswith("threshold-reached") else PROFILE_REACHED


def test_examples_are_real_events(serve, tmp_path, receiver):
    server = serve("--data-dir", str(tmp_path / "data"), "--webhook-allow-private", "127.0.0.0/8", limits=EXAMPLE)
    rest = Rest(server)
    rest.post("/v2/webhook_endpoints", {"url": receiver.url}).data
    voice = {"id": "calls", "name": "Calls", "tenant_id": "acme", "daily_spend_limit": "1.00",
             "daily_spend_limit_enabled": True}
    rest.post("/v2/outbound_voice_profiles", voice).data
    rest.send("acme", PROFILE, "0.01").data
    rest.post("/v2/check_and_reserve", {"tenant_id": "acme", "voice_profile_id": "calls", "action": "outbound_call",
                                        "mode": "commit", "quantities": {"spend": "1.00"}}).data
    rest.record("acme", call_seconds=300_000)
    rest.post("/v2/tenants/acme/actions/reinstate", {"reason": "looked into"}).data
    rest.post("/v2/tenants/globex/actions/suspend", {"reason": "late payment"}).data

    events = rest.all("/v2/events")
    told = set(re.findall(r"`((?:tenant|messaging-profile|outbound-voice-profile)\.[a-z-]+)`", PAGE))
    assert {event["event_type"] for event in events} == told and len(told) == 8
    for event in events:
        assert list(event) == list(LISTED)
        assert list(event["payload"]) == list(example(event)), event["event_type"]
        if event["event_type"] == LISTED["event_type"]:
            assert list(event["limit"]) == list(LISTED["limit"])

    for post in eventually(lambda: len(receiver.posts) == len(events) and receiver.posts, what="every webhook"):
        assert list(post.body) == list(POSTED) and list(post.body["meta"]) == list(POSTED["meta"])
        assert list(post.body["data"]) == list(POSTED["data"])
        event = next(event for event in events if event["id"] == post.id)
        assert post.body["data"]["payload"] == event["payload"]
