"""The same contract with nothing but grpcio and what `python -m grpc_tools.protoc` makes of Protos/."""

import grpc
import os
from tollgate.v1 import tollgate_pb2 as toll, tollgate_pb2_grpc as rpc

limits = rpc.LimitServiceStub(grpc.insecure_channel(os.environ.get("TOLLGATE_ENDPOINT", "127.0.0.1:50051")))
token = os.environ.get("TOLLGATE_TOKEN")
who = [("authorization", f"Bearer {token}")] if token else []
answer = limits.CheckAndReserve(toll.CheckAndReserveRequest(
    tenant_id="globex", messaging_profile_id="globex-bulk", action=toll.ACTION_SEND_MESSAGE,
    quantities=[toll.Quantity(resource=toll.RESOURCE_SPEND, amount=4_000_000)]), timeout=5, metadata=who)
if answer.decision == toll.DECISION_ALLOWED:
    limits.Commit(toll.CommitRequest(reservation_id=answer.reservation_id), timeout=5, metadata=who)
print("committed" if answer.decision == toll.DECISION_ALLOWED else f"denied: {answer.errors[0].code}")
