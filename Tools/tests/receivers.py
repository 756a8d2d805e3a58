"""Those who are told: an HTTP receiver and mail servers that do as a test says, and a certificate authority."""

import base64
import dataclasses
import datetime
import email
import email.policy
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclasses.dataclass
class Post:
    """One POST as it came."""

    path: str
    headers: object
    raw: bytes
    at: float  # time.monotonic()

    @property
    def body(self):
        return json.loads(self.raw)

    @property
    def id(self):
        return self.body["data"]["id"]

    @property
    def type(self):
        return self.body["data"]["event_type"]

    @property
    def attempt(self):
        return self.body["meta"]["attempt"]

    def verify(self, key):
        """Raises unless both Ed25519 signatures are those of a public key (base64) over what came."""
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        stamp = self.headers["telnyx-timestamp"].encode()
        vendor = base64.b64decode(self.headers["telnyx-signature-ed25519"], validate=True)
        public.verify(vendor, stamp + b"|" + self.raw)

        signatures = dict(entry.split(",", 1) for entry in self.headers["webhook-signature"].split(" "))
        standard = signatures["v1a"]
        signed = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.raw]
        )
        public.verify(base64.b64decode(standard, validate=True), signed)
        assert self.headers["webhook-id"] == self.id
        came = time.time() - (time.monotonic() - self.at)
        assert abs(int(stamp) - came) < 60, "the time is not the attempt's"


class Receiver:
    """An HTTP receiver. `answer(post, number)` gives the status, or (status, headers), of the number-th POST (from 1);
    it may block. `posts` holds what came, before it is answered; a post's `connection` is the place of its connection
    among those that were accepted."""

    def __init__(self, answer=lambda post, number: 200, host="127.0.0.1"):
        self.posts = []
        # In the order in which they were accepted: threads that read from them may overtake one another.
        self.connections = {}
        lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 60

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                post = Post(self.path, self.headers, raw, time.monotonic())
                post.connection = receiver.connections[self.client_address]
                with lock:
                    receiver.posts.append(post)
                    number = len(receiver.posts)
                result = answer(post, number)
                status, headers = result if isinstance(result, tuple) else (result, {})
                try:
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": "0"}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except OSError:
                    pass  # The sender no longer waits.

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True
            block_on_close = False

            def process_request(self, request, client_address):
                receiver.connections[client_address] = len(receiver.connections)
                super().process_request(request, client_address)

            def handle_error(self, *_):
                pass  # A sender that was killed.

        self.server = Server((host, 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, event_type):
        return [post for post in list(self.posts) if post.type == event_type]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Silence:
    """Takes connections and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/silence"

    def close(self):
        self.socket.close()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class MailServer:
    """A mail server: `mails` holds (session, envelope, parsed message). `refuse` maps addresses to replies. `users`
    maps names to passwords and makes a log-in necessary; `logins` holds what was tried."""

    def __init__(self, port=None, refuse=None, users=None, tls=None, starttls=None):
        self.port = port or free_port()
        self.refuse = refuse or {}
        self.users = users
        self.mails = []
        self.logins = []
        options = {"ready_timeout": 120}
        if users is not None:
            options |= {"authenticator": self.authenticate, "auth_required": True}
            options["auth_require_tls"] = starttls is not None
        if starttls is not None:
            options |= {"tls_context": starttls, "require_starttls": True}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, ssl_context=tls, **options)
        self.controller.start()

    def authenticate(self, _server, _session, _envelope, _mechanism, given):
        login = (given.login.decode(), given.password.decode())
        self.logins.append(login)
        return AuthResult(success=self.users.get(login[0]) == login[1], handled=False)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((session, envelope, message))
        return "250 taken"

    @property
    def subjects(self):
        return [str(message["Subject"]) for _, _, message in list(self.mails)]

    def close(self):
        self.controller.stop()


class Authority:
    """A certificate authority of a test's own; `file` is its certificate."""

    def __init__(self, directory, name="Test Authority"):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), is_authority=True)
        self.file = directory / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, is_authority, addresses=()):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if addresses:
            names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, address="127.0.0.1"):
        """What a server at an address needs for TLS."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
        certificate = self._sign(subject, key.public_key(), is_authority=False, addresses=[address])
        file = self.directory / f"server-{certificate.serial_number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context
