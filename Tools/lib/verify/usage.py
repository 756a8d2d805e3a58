"""What a service says is used: read over gRPC by a foreign client, and compared over a restart."""

import concurrent.futures
import importlib
import re
import sys
import time
from dataclasses import dataclass

import grpc
from grpc_tools import protoc
from runner import ROOT, Violation

# Requests under way at a time.
CALLERS = 8
HOUR = 3_600_000


@dataclass(frozen=True)
class Limit:
    """One limit of a tenant or of a messaging profile, as GetUsage tells it."""

    cap: int | None
    committed: int
    held: int
    window: int
    ends: int
    tenant_status: int


class Client:
    """The gRPC contract, for the tenants and profiles of a limits file.

    `directory` is where the generated code goes."""

    def __init__(self, directory, limits):
        out = directory / "contract"
        out.mkdir(parents=True, exist_ok=True)
        protos = ROOT / "Protos"
        command = ["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}"]
        if protoc.main([*command, str(protos / "tollgate/v1/tollgate.proto")]) != 0:
            raise Violation("the contract does not compile")
        if str(out) not in sys.path:
            sys.path.insert(0, str(out))
        self.messages = importlib.import_module("tollgate.v1.tollgate_pb2")
        self.stub = importlib.import_module("tollgate.v1.tollgate_pb2_grpc").LimitServiceStub
        # Each profile with its tenant, as tollgate-loadtest writes them: each of its tenants has some.
        self.subjects = []
        for indent, name in re.findall(r"^( *)- id: (\S+)$", limits.read_text(), re.M):
            if len(indent) == 2:
                tenant = name
            else:
                self.subjects.append((tenant, name))
        if not self.subjects:
            raise Violation(f"no messaging profile in {limits}")

    def each(self, endpoint, subjects, call):
        """call(stub, subject) for each of them, a few at a time."""
        with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = self.stub(channel)
            with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
                return list(pool.map(lambda subject: call(stub, subject), subjects))

    def read(self, endpoint):
        """{(subject, limit's kind): Limit} of all tenants and profiles."""

        def ask(stub, subject):
            tenant, profile = subject
            request = self.messages.GetUsageRequest(tenant_id=tenant, messaging_profile_id=profile)
            return stub.GetUsage(request, timeout=60)

        try:
            answers = self.each(endpoint, self.subjects, ask)
        except grpc.RpcError as error:
            raise Violation(f"GetUsage fails: {error.code().name}, {error.details()}") from error
        return {
            (limit.subject_id, self.messages.LimitKind.Name(limit.limit)): Limit(
                limit.cap if limit.HasField("cap") else None, limit.committed, limit.held,
                limit.window_start_ms, limit.resets_at_ms, answer.tenant_status,
            )
            for answer in answers
            for limit in answer.limits
        }

    def hold_some(self, endpoint, count):
        """Holds of one DID each that nobody settles and that last for an hour; how many were allowed."""

        def ask(stub, subject):
            request = self.messages.CheckAndReserveRequest(
                tenant_id=subject[0], action=self.messages.ACTION_ASSIGN_DID, ttl_ms=HOUR,
                quantities=[self.messages.Quantity(resource=self.messages.RESOURCE_DIDS, amount=1)],
            )
            return stub.CheckAndReserve(request, timeout=60).decision == self.messages.DECISION_ALLOWED

        try:
            return sum(self.each(endpoint, self.subjects[:count], ask))
        except grpc.RpcError as error:
            raise Violation(f"CheckAndReserve fails: {error.code().name}, {error.details()}") from error


def compare(before, after, now=None):
    """What a restart may change: holds expire, windows end. A line that says so, or a Violation.

    - now: of the second reading, Unix milliseconds; at present."""
    now = time.time() * 1_000 if now is None else now
    wrong, less, ended = [], 0, 0
    if before.keys() != after.keys():
        wrong.append(f"{len(before.keys() ^ after.keys())} limits were read only once")
    for subject in before.keys() & after.keys():
        old, new = before[subject], after[subject]
        if old.window != new.window and 0 < old.ends <= now:
            ended += 1
            continue
        same = (old.cap, old.committed, old.window, old.tenant_status)
        if same != (new.cap, new.committed, new.window, new.tenant_status) or new.held > old.held:
            wrong.append(f"{' '.join(subject)}: {old} before, {new} after")
        less += new.held < old.held
    if wrong:
        raise Violation(f"GetUsage tells something else after a restart: {len(wrong)} limits\n  "
                        + "\n  ".join(sorted(wrong)[:10]))
    used = sum(limit.committed > 0 for limit in after.values())
    held = sum(limit.held > 0 for limit in after.values())
    return (
        f"after a restart GetUsage tells the same of {len(after) - ended} limits: {used} in use, {held} with holds; "
        f"of {less} holds expired, of {ended} the window ended"
    )
