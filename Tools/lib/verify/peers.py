"""Hostile peers and a good one, frame by frame, without a library that would keep them from anything: what they say.
swarm.py says it."""

import contextlib
import functools
import gzip
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Callable

SERVICE = "/tollgate.v1.LimitService/"
HEALTH = "/grpc.health.v1.Health/"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
# A type of frame that nobody knows.
UNKNOWN = 0xfa
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, first=0):
    """An integer of HPACK (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(name, value, indexed=False):
    """A literal field; `indexed`: it enters the dynamic table."""
    name, value = name.encode(), value.encode()
    return bytes([0x40 if indexed else 0]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def opening(window=None):
    """Preface and SETTINGS; `window`: what the peer lets each stream send."""
    settings = struct.pack(">HI", 4, window) if window is not None else b""
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def head(method="GetUsage", more=b"", token=None, service=SERVICE):
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", service + method), (":authority", "x"),
             ("content-type", "application/grpc"), ("te", "trailers")]
    if token:
        pairs.append(("authorization", f"Bearer {token}"))
    return b"".join(field(*pair) for pair in pairs) + more


def tls_context(is_http, authority=None):
    """A client's side of TLS; `authority`: the file of the CA that it trusts. Without one it believes everybody."""
    if authority:
        context = ssl.create_default_context(cafile=authority)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1" if is_http else "h2"])
    return context


@functools.cache
def client_hello():
    """What a handshake with the gRPC port begins with."""
    to_server = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        tls_context(is_http=False).wrap_bio(ssl.MemoryBIO(), to_server).do_handshake()
    return to_server.read()


def stream_id(number):
    return 2 * number + 1


# GetUsage of the example's tenant.
MESSAGE = b"\x0a\x06globex"
BODY = struct.pack(">BI", 0, len(MESSAGE)) + MESSAGE
BOMB = gzip.compress(bytes(1_000_000))
# Half a million empty requests.
CROWD = gzip.compress(b"\x0a\x00" * 500_000)


class GoodClient:
    """One connection with one call at a time; `tls`: the context that it is secured with."""

    def __init__(self, host, port, token, timeout=30, tls=None):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.socket.sendall(opening())
        self.buffer = b""
        self.number = 0
        self.head = head(token=token)

    def call(self):
        """The milliseconds until a call is answered; an error if it is refused or the connection ends."""
        stream = stream_id(self.number)
        self.number += 1
        began = time.perf_counter()
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, self.head) + frame(DATA, END_STREAM, stream, BODY))
        has_answer = False
        while True:
            kind, flags, of, payload = self.next_frame()
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY or kind == RESET:
                raise ConnectionError("a good client was sent away")
            elif kind == DATA and of == stream:
                has_answer = True
                credit = struct.pack(">I", len(payload))
                self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, credit))
            if of == stream and flags & END_STREAM:
                if not has_answer:
                    raise ConnectionError("a good client was refused")
                return (time.perf_counter() - began) * 1_000

    def next_frame(self):
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
                    return kind, flags, stream, payload
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("the connection of a good client was closed")
            self.buffer += data

    def close(self):
        self.socket.close()


@dataclass
class Attack:
    name: str
    title: str
    # What a connection begins with, and what follows in its nth turn; b"": nothing more, it just stays.
    begin: Callable
    turn: Callable = lambda number, token: b""
    connections: int = 4
    is_http: bool = False
    # Whether the peer reads what it is sent.
    reads: bool = True
    needs_token: bool = False
    # Seconds between two turns of a connection.
    pause: float = 0
    # Whether the server must end its connections.
    must_end: bool = False
    # For TLS only: whether it writes TLS's bytes by itself, and whether it closes once the handshake is done.
    is_bare: bool = False
    leaves: bool = False


def unfinished_bodies(number, token):
    """A request whose body never ends, as much of it as the windows take."""
    if number >= 8:
        return b""
    stream = stream_id(number)
    body = struct.pack(">BI", 0, 60_000) + bytes(16_000)
    return (frame(HEADERS, END_HEADERS, stream, head("CheckAndReserve", token=token)) +
            frame(DATA, 0, stream, body) + b"".join(frame(DATA, 0, stream, bytes(16_000)) for _ in range(2)))


def long_authorizations(number, token):
    if number >= 200:
        return b""
    more = field("authorization", "Bearer " + "x" * 7_500)
    return frame(HEADERS, END_HEADERS, stream_id(number), head("CheckAndReserve", more))


def header_heavy(number, token):
    """Blocks just within the bounds, of which a byte stands for a field of 2 000."""
    if number == 0:
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, head(more=field("x-a", "v" * 2_000, indexed=True)))
    block = head(more=bytes([0x80 | 62]) * 3)
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream_id(number * 40 + index), block)
                    for index in range(40))


def many_fields(number, token):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream_id(number), head(more=field("x-a", "1") * 400))


def unfolding(number, token):
    if number == 0:
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, head(more=field("x-a", "v" * 4_000, indexed=True)))
    return frame(HEADERS, END_HEADERS | END_STREAM, stream_id(number), head(more=bytes([0x80 | 62]) * 16_000))


def rapid_reset(number, token):
    out = []
    for index in range(number * 50, number * 50 + 50):
        stream = stream_id(index)
        out += [frame(HEADERS, END_HEADERS, stream, head()), frame(RESET, 0, stream, struct.pack(">I", 8))]
    return b"".join(out)


def stray_data(number, token):
    if number == 0:
        return frame(HEADERS, END_HEADERS, 1, head()) + frame(RESET, 0, 1, struct.pack(">I", 8))
    return frame(DATA, 0, 1, bytes(1_000)) * 20


def stray_headers(number, token):
    """As above, with trailers and more of them."""
    if number == 0:
        return frame(HEADERS, END_HEADERS, 1, head()) + frame(RESET, 0, 1, struct.pack(">I", 8))
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, head()) * 20


def continuations(number, token):
    """A header block that never ends."""
    if number == 0:
        return frame(HEADERS, 0, 1, head())
    return frame(CONTINUATION, 0, 1, field("x-a", "1") * 100) * 10


def made_resets(number, token):
    """Requests that the server must reset: their windows pass 2^31 - 1."""
    most = struct.pack(">I", (1 << 31) - 1)
    return b"".join(frame(HEADERS, END_HEADERS, stream_id(index), head(token=token)) +
                    frame(WINDOW_UPDATE, 0, stream_id(index), most) for index in range(number * 20, number * 20 + 20))


def control_frames(number, token):
    """Frames that carry nothing, on a stream that stays open."""
    if number == 0:
        return frame(HEADERS, END_HEADERS, 1, head(token=token))
    kinds = [frame(DATA, 0, 1), frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)), frame(PRIORITY, 0, 3, bytes(5)),
             frame(UNKNOWN, 0, 1, bytes(8))]
    return kinds[number % len(kinds)] * 100


def dribble(number, token):
    """Eight bodies, a byte a frame."""
    streams = [stream_id(index) for index in range(8)]
    if number == 0:
        opened = struct.pack(">BI", 0, 60_000)
        return b"".join(frame(HEADERS, END_HEADERS, stream, head("CheckAndReserve", token=token)) +
                        frame(DATA, 0, stream, opened) for stream in streams)
    return b"".join(frame(DATA, 0, stream, b"x") for stream in streams)


def unread_answers(number, token):
    if number >= 250:
        return b""
    stream = stream_id(number)
    return (frame(HEADERS, END_HEADERS, stream, head(token=token)) + frame(DATA, END_STREAM, stream, BODY))


def refused_calls(number, token):
    """Calls without a token, answered and not read."""
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream_id(number * 50 + index), head())
                    for index in range(50))


def health_checks(number, token):
    """A method that asks for no token, as fast as it goes."""
    request = head("Check", service=HEALTH)
    return b"".join(frame(HEADERS, END_HEADERS, stream_id(index), request) + frame(DATA, END_STREAM, stream_id(index), bytes(5))
                    for index in range(number * 20, number * 20 + 20))


def health_watches(number, token):
    """As many watches as there may be, and more."""
    if number > 0:
        return b""
    request = head("Watch", service=HEALTH)
    return b"".join(frame(HEADERS, END_HEADERS, stream_id(index), request) + frame(DATA, END_STREAM, stream_id(index), bytes(5))
                    for index in range(40))


def batches(packed):
    """Batches that are small until they are unfolded, and are refused then."""
    def turn(number, token):
        request = head("CheckAndReserveBatch", more=field("grpc-encoding", "gzip"), token=token)
        body = struct.pack(">BI", 1, len(packed)) + packed
        streams = map(stream_id, range(number * 4, number * 4 + 4))
        return b"".join(frame(HEADERS, END_HEADERS, stream, request) + frame(DATA, END_STREAM, stream, body)
                        for stream in streams)

    return turn


ATTACKS = [
    Attack("idle", "1 100 connections that do nothing", lambda token: opening(), connections=1_100),
    Attack("slow-head", "300 connections that send the preface byte by byte", lambda token: b"",
           lambda number, token: PREFACE[number % 24:number % 24 + 1], connections=300, pause=0.3),
    Attack("bodies", "200 connections with 8 unfinished bodies each, no token", lambda token: opening(),
           unfinished_bodies, connections=200),
    Attack("bodies-token", "200 connections with 8 unfinished bodies each, with a good token", lambda token: opening(),
           unfinished_bodies, connections=200, needs_token=True),
    Attack("authorization", "200 connections, 200 unfinished requests each with 7.5 KB of authorization",
           lambda token: opening(), long_authorizations, connections=200),
    Attack("header-heavy", "header blocks just within the bounds, as fast as they go", lambda token: opening(),
           header_heavy, must_end=True),
    Attack("many-fields", "400 fields in a block", lambda token: opening(), many_fields, must_end=True),
    Attack("unfolding", "16 000 fields of 4 KB in a block of 16 KB", lambda token: opening(), unfolding,
           must_end=True),
    Attack("rapid-reset", "requests that are reset at once", lambda token: opening(), rapid_reset,
           must_end=True),
    Attack("stray-data", "DATA on a stream that is reset", lambda token: opening(), stray_data,
           must_end=True),
    Attack("stray-headers", "HEADERS on a stream that is reset", lambda token: opening(), stray_headers,
           must_end=True),
    Attack("pings", "PING after PING", lambda token: opening(),
           lambda number, token: frame(PING, 0, 0, bytes(8)) * 100, must_end=True),
    Attack("settings", "SETTINGS after SETTINGS", lambda token: opening(),
           lambda number, token: frame(SETTINGS, 0, 0) * 100, must_end=True),
    Attack("continuations", "a header block that never ends", lambda token: opening(), continuations, must_end=True),
    Attack("made-resets", "requests that the server must reset, with a good token", lambda token: opening(), made_resets,
           needs_token=True, must_end=True),
    Attack("control-frames", "empty DATA, WINDOW_UPDATE, PRIORITY and unknown frames, with a good token",
           lambda token: opening(), control_frames, needs_token=True, must_end=True),
    Attack("dribble", "200 connections with 8 bodies each that come byte by byte, with a good token",
           lambda token: opening(), dribble, connections=200, needs_token=True, pause=0.3),
    Attack("unread", "250 calls on each of 100 connections with no window, answers not read",
           lambda token: opening(window=0), unread_answers, connections=100, reads=False, needs_token=True),
    Attack("refused", "calls without a token whose refusals are not read", lambda token: opening(), refused_calls,
           connections=100, reads=False, must_end=True),
    Attack("checks", "health checks without a token, as fast as they go", lambda token: opening(), health_checks,
           connections=100, must_end=True),
    Attack("watches", "300 connections with 40 health watches each, no token", lambda token: opening(), health_watches,
           connections=300),
    Attack("bombs", "gzip of 1 KB that unfolds to 1 MiB, with a good token", lambda token: opening(), batches(BOMB),
           connections=20, needs_token=True),
    Attack("crowds", "gzip of 1 KB that unfolds to 500 000 empty requests in a batch, with a good token",
           lambda token: opening(), batches(CROWD), connections=20, needs_token=True),
    Attack("http-idle", "1 100 connections to the HTTP port that do nothing", lambda token: b"", connections=1_100,
           is_http=True),
    Attack("http-slow-head", "300 heads that never end", lambda token: b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
           lambda number, token: b"x-%d: y\r\n" % number if number < 90 else b"", connections=300, is_http=True, pause=0.3),
    Attack("http-unread", "pipelined /openapi.json whose answers are not read", lambda token: b"",
           lambda number, token: b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20, connections=300, is_http=True,
           reads=False),
    Attack("http-bodies", "300 unfinished bodies", lambda token: b"POST /v2/tenants HTTP/1.1\r\nHost: x\r\n"
           b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n",
           lambda number, token: b"x" * 16_000 if number < 60 else b"", connections=300, is_http=True),
]
# Over TLS there are handshakes too.
TLS_ATTACKS = [
    *ATTACKS,
    Attack("handshakes", "1 100 connections that begin a handshake and say nothing more", lambda token: client_hello(),
           connections=1_100, is_bare=True, must_end=True),
    Attack("renewed-handshakes", "handshakes as fast as they go, each on a connection that is closed then",
           lambda token: b"", connections=100, leaves=True),
]
