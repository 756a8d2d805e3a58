# Sourced by the scripts that put CheckAndReserve under h2load: a server of its own, one request, over and over.
# Wants lib/setup.sh, and $WORK, a directory that the script removes.

TENANT=11111111-2222-4333-8444-555555555555
PROFILE=66666666-7777-4888-8999-aaaaaaaaaaaa
SERVER_CORE=0 LOAD_CORE=1
# The server's process, and where it listens.
TOLLGATE= ENDPOINT=

# prepare_check MODE: the limits, and one gRPC message: tenant_id, messaging_profile_id, action SEND_MESSAGE, one quantity
# of 1 nano-USD, mode (1 reserve, 3 commit). It counts against two limits that can refuse; ids have 36 bytes.
prepare_check() {
    cat >"$WORK/limits.yaml" <<LIMITS
version: 1
tenants:
  - id: $TENANT
    monthly_spend_limit: "1000000.00"
    on_limit: block
    messaging_profiles:
      - id: $PROFILE
        daily_spend_limit: "1000000.00"
        daily_spend_limit_enabled: true
LIMITS
    python3 - "$WORK/request" "$TENANT" "$PROFILE" "$1" <<'PYTHON'
import struct, sys
path, tenant, profile, mode = sys.argv[1:]
def text(field, value): return bytes([field << 3 | 2, len(value)]) + value.encode()
message = text(1, tenant) + text(2, profile) + bytes([3 << 3, 1, 4 << 3 | 2, 4, 8, 1, 16, 1, 7 << 3, int(mode)])
open(path, "wb").write(struct.pack(">BI", 0, len(message)) + message)
PYTHON
}

# start_tollgate COMMAND...: serves on one loop and one core; further flags of `serve` stand in SERVE_FLAGS. It must be
# ready within READY_SECONDS.
start_tollgate() {
    taskset -c "$SERVER_CORE" "$@" serve --insecure-no-auth --limits "$WORK/limits.yaml" --threads 1 \
        --data-dir "$WORK/data" --grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 "${SERVE_FLAGS[@]}" \
        >"$WORK/out" 2>"$WORK/log" &
    TOLLGATE=$!
    for _ in $(seq $((${READY_SECONDS:-30} * 10))); do
        grep -q '^tollgate ready ' "$WORK/out" && break
        kill -0 "$TOLLGATE" 2>/dev/null || {
            cat "$WORK/log" >&2
            fail "tollgate did not start: see its message above"
        }
        sleep 0.1
    done
    ENDPOINT=$(sed -n 's/^tollgate ready grpc=\([^ ]*\).*/\1/p' "$WORK/out")
    [ -n "$ENDPOINT" ] || fail "tollgate was not ready after ${READY_SECONDS:-30} s"
}

# h2load_all REQUESTS ARGUMENT...: all requests must succeed; h2load's words are in $WORK/load.
h2load_all() {
    local requests=$1
    shift
    taskset -c "$LOAD_CORE" h2load -n "$requests" "$@" >"$WORK/load" 2>&1 ||
        fail "h2load failed: $(tail -3 "$WORK/load")"
    grep -q "^requests: $requests total, $requests started, $requests done, $requests succeeded" "$WORK/load" ||
        fail "not every request succeeded: $(grep '^requests' "$WORK/load")"
}

# load_checks CONNECTIONS STREAMS REQUESTS
load_checks() {
    h2load_all "$3" -c "$1" -m "$2" -d "$WORK/request" -H content-type:application/grpc -H te:trailers \
        "http://$ENDPOINT/tollgate.v1.LimitService/CheckAndReserve"
}
