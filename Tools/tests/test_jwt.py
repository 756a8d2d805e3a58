"""Web tokens of an identity provider, made by PyJWT, and rules for certificates: the identities file, end to end."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import pathlib
import signal
import subprocess
import threading
import time

import grpc
import jwt
import pytest
from conftest import BINARY, ROOT, failure, quantities, request
from control import Rest, eventually
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


class Provider:
    """An identity provider: its keys, at a URL of its own."""

    def __init__(self):
        self.keys = {
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
            "RS256": rsa.generate_private_key(65_537, 2_048),
        }
        self.asked = 0
        self.is_up = True
        # Answers stop in the middle of their bodies until this is set; None: they do not.
        self.stall = None
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked += 1
                body = provider.document().encode()
                self.send_response(200 if provider.is_up else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if provider.stall:
                    self.wfile.write(body[: len(body) // 2])
                    provider.stall.wait()
                    body = body[len(body) // 2 :]
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self):
        keys = []
        for name, key in self.keys.items():
            algorithm = jwt.get_algorithm_by_name(name)
            keys.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": name, "use": "sig"})
        return json.dumps({"keys": keys})

    def token(self, algorithm="ES256", key=None, headers=None, **claims):
        """A token; a claim that is None is left out."""
        body = {
            "iss": self.name, "aud": "tollgate", "sub": "switch-1", "exp": time.time() + 600, "scope": "openid check",
            "tenants": ["globex"], **claims,
        }
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, key or self.keys[algorithm], algorithm, {"kid": algorithm, **(headers or {})})


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.server.shutdown()


def identities(path, provider, **more):
    issuer = {
        "issuer": provider.name, "audience": "tollgate", "keys": f"{provider.name}/keys",
        "scopes": ["check", "tenant", "viewer"], **more,
    }
    # JSON is YAML.
    path.write_text(json.dumps({"issuers": [issuer]}))
    return path


@pytest.fixture
def guarded(serve, tmp_path, provider):
    """A server that believes the provider, and the file that says so."""
    provider.is_up = True
    provider.asked = 0
    path = identities(tmp_path / "identities.yaml", provider)
    server = serve("--data-dir", str(tmp_path / "data"), "--identities", str(path), auth=True)
    with grpc.insecure_channel(server.endpoint) as channel:
        yield server, path, channel


@pytest.fixture
def ask(contract, guarded):
    """ask(token, tenant): the status of a CheckAndReserve, when the keys are there."""
    stub = contract.Stub(guarded[2])

    def ask(token, tenant="globex"):
        try:
            stub.CheckAndReserve(
                request(contract, tenant, dids=1), timeout=60, metadata=[("authorization", f"Bearer {token}")]
            )
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    return ask


def admitted(ask, token, tenant="globex"):
    """What comes of a token once the issuer's keys were read."""
    return eventually(
        lambda: (code := ask(token, tenant)) != grpc.StatusCode.UNAVAILABLE and code, what="the issuer's keys"
    )


def operator(guarded):
    path = pathlib.Path(guarded[1]).parent / "data/operator-token"
    return Rest(guarded[0], path.read_text().strip())


def test_who_has_a_good_token(guarded, provider, ask):
    server = guarded[0]
    for algorithm in provider.keys:
        token = provider.token(algorithm, sub=f"switch-{algorithm}")
        assert admitted(ask, token) == grpc.StatusCode.OK
        assert ask(token, "acme") == grpc.StatusCode.PERMISSION_DENIED
    asked = provider.asked
    viewer = Rest(server, provider.token("RS256", scope="viewer", tenants=None, sub="eve"))
    assert viewer.get("/v2/tenants/acme").status == 200
    assert viewer.patch("/v2/tenants/acme", {"name": "x"}).status == 403
    own = Rest(server, provider.token(scope="tenant", sub="portal"))
    limits = own.get("/v2/tenants/globex/usage").data["limits"]
    assert limits and all(limit.get("cap_hidden") for limit in limits)
    # The keys were not read again, and each token was verified once. (On a machine that stands still, the first attempts
    # to read them may come to nothing.)
    statistics = operator(guarded).get("/v2/access_statistics").data
    assert provider.asked == asked >= 1 and statistics["verified_tokens"] == 5
    assert statistics["issuers"][0]["keys"] == 3 and statistics["issuers"][0]["trouble"] is None


def unsigned(token):
    """The same words under `alg: none`."""
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def signed_with_public(token, public):
    """The same words under `alg: HS256`, the secret being a public key: PyJWT makes no such token."""
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"RS256"}').decode().rstrip("=")
    words = f"{header}.{token.split('.')[1]}"
    signature = hmac.new(public, words.encode(), hashlib.sha256).digest()
    return f"{words}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_who_has_none(guarded, provider, ask):
    assert admitted(ask, provider.token()) == grpc.StatusCode.OK
    public = provider.keys["RS256"].public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    now = time.time()
    refused = [
        unsigned(provider.token()),
        signed_with_public(provider.token(), public),
        provider.token(key=ec.generate_private_key(ec.SECP256R1())),
        provider.token(headers={"kid": "RS256"}),
        provider.token(headers={"kid": "nobody's"}),
        provider.token(exp=now - 3_600),
        provider.token(exp=None),
        provider.token(nbf=now + 3_600),
        provider.token(aud="another"),
        provider.token(iss="https://id.example.com"),
        provider.token(scope="admin operator"),
        provider.token(tenants=None),
        provider.token() + "x",
        provider.token(more="x" * 4_096),
    ]
    for number, token in enumerate(refused):
        assert ask(token) == UNAUTHENTICATED, number
        answer = Rest(guarded[0], token).get("/v2/tenants/globex/usage")
        # Nobody is told why.
        assert answer.status == 401 and answer.body["errors"][0]["code"] == "10009"
    failures = operator(guarded).get("/v2/access_statistics").data["failures"]
    for reason in ["algorithm not allowed", "wrong signature", "expired token", "wrong audience", "unknown issuer"]:
        assert failures[reason] >= 2, failures
    assert eventually(lambda: any("authentication failed" in line for line in guarded[0].log))


def test_clocks_may_differ_by_the_leeway(guarded, provider, ask):
    now = time.time()
    token = provider.token(exp=now - 1, nbf=now - 60, iat=now + 20)
    assert admitted(ask, token) == grpc.StatusCode.OK


def test_what_the_file_takes_back(guarded, provider, ask):
    server, path, _ = guarded
    stolen, other = provider.token(jti="stolen"), provider.token(jti="other")
    assert admitted(ask, stolen) == admitted(ask, other) == grpc.StatusCode.OK
    identities(path, provider, denied_token_ids=["stolen"])
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: ask(stolen) == UNAUTHENTICATED, what="the reload")
    assert admitted(ask, other) == grpc.StatusCode.OK
    # A file with a mistake changes nothing.
    path.write_text("issuers:\n  - issuer: x\n    audiences: y\n")
    server.process.send_signal(signal.SIGHUP)
    said = f"{path}:3:5: An issuer has no key"
    assert eventually(lambda: any(said in line for line in server.log), what="the refusal")
    assert ask(other) == grpc.StatusCode.OK
    path.write_text("issuers: []\n")
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: ask(other) == UNAUTHENTICATED, what="the reload")


def test_an_issuer_that_does_not_answer(serve, tmp_path, provider, contract):
    provider.is_up = False
    path = identities(tmp_path / "identities.yaml", provider)
    server = serve("--data-dir", str(tmp_path / "data"), "--identities", str(path), auth=True)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        bearer = [("authorization", f"Bearer {provider.token()}")]
        answer = failure(stub.CheckAndReserve, request(contract, dids=1), metadata=bearer)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.UNAVAILABLE, "10037")
        assert "RetryInfo" in answer.details
        assert eventually(lambda: any("an issuer's keys cannot be read" in line for line in server.log))
        provider.is_up = True

        def ask():
            with contextlib.suppress(grpc.RpcError):
                return stub.CheckAndReserve(request(contract, dids=1), timeout=60, metadata=bearer)

        assert eventually(ask, what="the keys").decision == contract.DECISION_ALLOWED


@pytest.mark.thorough
def test_an_issuer_that_stops_in_the_middle_of_its_answer(serve, tmp_path):
    stalled, other = Provider(), Provider()
    stalled.stall = threading.Event()
    other.is_up = False
    path = tmp_path / "identities.yaml"
    path.write_text(json.dumps({
        "issuers": [
            {"issuer": each.name, "audience": "tollgate", "keys": f"{each.name}/keys?secret=1", "scopes": ["check"]}
            for each in (stalled, other)
        ]
    }))
    server = serve("--data-dir", str(tmp_path / "data"), "--identities", str(path), auth=True)

    def line(words, provider):
        return next((at for at, line in enumerate(server.log) if words in line and provider.name in line), None)

    failed, taken = "an issuer's keys cannot be read", "loaded an issuer's keys"
    try:
        at = eventually(lambda: line(failed, other), what="the other's failure")
        assert "http://127.0.0.1 answered 500" in server.log[at]
        other.is_up = True
        # In the 10 s that the first may take, the second is looked at again after 5 s.
        last = eventually(lambda: line(failed, stalled), what="the end of its time")
        assert line(taken, other) is not None and line(taken, other) < last, server.log
        assert "deadline exceeded" in server.log[last].lower() or "timeout" in server.log[last].lower()
        # The next look is as good as any.
        stalled.stall.set()
        assert eventually(lambda: line(taken, stalled), what="its keys") is not None
    finally:
        stalled.stall.set()
        stalled.server.shutdown()
        other.server.shutdown()
    assert not any("secret" in line for line in server.log)


@pytest.mark.parametrize(
    "text, said",
    [
        ("issuers:\n  - issuer: x\n", "2:5: An issuer needs an \"audience\""),
        ("issuers: x\n", "1:10: \"issuers\" must be a list"),
        (
            "issuers:\n  - issuer: x\n    audience: y\n    keys: https://us:er@id.example.com/\n    scopes: [check]\n",
            "4:11: \"keys\" must be a URL without user and password",
        ),
        ("certificates:\n  - name: spiffe://a/*/b\n    scopes: [check]\n", "2:11: A \"*\" is only allowed at the end"),
        ("certificates:\n  - name: a\n    scopes: [root]\n", "3:13: \"scopes\" must be one or more of"),
        ("certificates:\n  - name: a\n    scopes: [viewer]\n    tenants: [b]\n", "4:14: A certificate with scope viewer"),
    ],
)
def test_a_wrong_file_keeps_the_service_from_starting(tmp_path, text, said):
    path = tmp_path / "identities.yaml"
    path.write_text(text)
    arguments = ["--durability", "memory", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    done = subprocess.run(
        [BINARY, "serve", *arguments, "--identities", path], capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 64 and f"{path}:{said}" in done.stderr, done.stderr


def test_a_certificate_is_who_its_rule_says(serve, tmp_path, contract):
    made = subprocess.run(
        [
            ROOT / "Tools/dev-certificates", "--client", "switch=spiffe://example.org/ns/calls/switch",
            "--client", "ops=spiffe://example.org/ns/ops/eve", "--client", "stranger=spiffe://example.org/ns/calls",
            tmp_path / "certificates",
        ],
        capture_output=True, text=True, timeout=120,
    )
    assert made.returncode == 0, made.stderr
    certificates = tmp_path / "certificates"
    path = tmp_path / "identities.yaml"
    path.write_text(
        "certificates:\n"
        "  - name: spiffe://example.org/ns/calls/switch\n    scopes: [check]\n    tenants: [globex]\n"
        "  - name: spiffe://example.org/ns/ops/*\n    scopes: [viewer]\n"
    )
    server = serve(
        "--data-dir", str(tmp_path / "data"), "--identities", str(path),
        "--tls-certificate", str(certificates / "server.pem"), "--tls-key", str(certificates / "server-key.pem"),
        "--tls-client-ca", str(certificates / "ca.pem"), auth=True,
    )

    def ask(name, tenant="globex", **options):
        credentials = grpc.ssl_channel_credentials(
            (certificates / "ca.pem").read_bytes(), (certificates / f"{name}-key.pem").read_bytes(),
            (certificates / f"{name}.pem").read_bytes(),
        )
        with grpc.secure_channel(server.endpoint.replace("127.0.0.1", "localhost"), credentials) as channel:
            call = contract.CheckAndReserveRequest(
                tenant_id=tenant, action=contract.ACTION_CHARGE, quantities=quantities(contract, dids=1)
            )
            try:
                contract.Stub(channel).CheckAndReserve(call, timeout=60, **options)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    assert ask("switch") == grpc.StatusCode.OK
    assert ask("switch", "acme") == grpc.StatusCode.PERMISSION_DENIED
    assert ask("ops") == grpc.StatusCode.PERMISSION_DENIED
    assert ask("stranger") == UNAUTHENTICATED
    # A token that is there is the one that counts.
    assert ask("switch", metadata=[("authorization", "Bearer tg_wrong")]) == UNAUTHENTICATED
    token = (tmp_path / "data/operator-token").read_text().strip()
    assert ask("stranger", metadata=[("authorization", f"Bearer {token}")]) == grpc.StatusCode.OK
    path.write_text("certificates: []\n")
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: ask("switch") == UNAUTHENTICATED, what="the reload")
