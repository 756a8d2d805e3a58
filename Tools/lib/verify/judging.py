"""What comes of the frames that a server is sent, and whether it is what must come."""

import socket
import ssl
import struct

import hpack
from peers import (ACK, BODY, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, SETTINGS, WINDOW_UPDATE, frame,
                   head)

CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
         "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
         "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
# What says that the peer listens no more: a connection's end, over TLS also without its farewell.
ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
# What a server may send in one frame unless it is told otherwise.
LARGEST_FRAME = 16_384


def code(number):
    return CODES[number] if number < len(CODES) else f"{number:#x}"


class Connection:
    """A connection on which nothing is sent but what a case says, and all that comes is kept; `tls`: the context that it
    is secured with, HTTP/2 being agreed upon by ALPN."""

    def __init__(self, address, timeout=60, tls=None):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            assert self.socket.selected_alpn_protocol() == "h2", "h2 is not chosen by ALPN"
        self.buffer = b""
        self.decoder = hpack.Decoder()
        # (type, flags, stream, payload) of all frames.
        self.frames = []
        self.is_heard, self.is_closed = True, False
        self.pings = 0
        # Of every stream: its response's fields, the bytes of its body, and whether it has ended.
        self.fields, self.bodies, self.ended = {}, {}, set()
        self.resets, self.goaway = {}, None

    def send(self, data):
        # A server that has said its last word need not listen, and TLS sends nothing after a record that was cut short.
        if self.is_heard:
            try:
                self.socket.sendall(data)
            except ENDED:
                self.is_heard = False

    def close(self):
        self.socket.close()

    def next(self):
        """Takes in a frame; None: the server has closed the connection."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                data = self.socket.recv(65_536)
            except ENDED:
                data = b""
            if not data:
                self.is_closed = True
                return None
            self.buffer += data
        length = int.from_bytes(self.buffer[:3], "big")
        assert length <= LARGEST_FRAME, "a frame larger than MAX_FRAME_SIZE"
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        self.frames.append((kind, flags, stream, payload))
        self.note(kind, flags, stream, payload)
        return self.frames[-1]

    def note(self, kind, flags, stream, payload):
        if kind == HEADERS:
            assert flags & END_HEADERS, "answers are short"
            self.fields.setdefault(stream, {}).update(self.decoder.decode(payload))
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == RESET:
            self.resets.setdefault(stream, code(int.from_bytes(payload, "big")))
        elif kind == GOAWAY:
            self.goaway = code(int.from_bytes(payload[4:8], "big"))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def until(self, is_there):
        """Takes in frames until it is there, or the connection is closed."""
        while not self.is_closed and not is_there(self):
            self.next()
        return not self.is_closed

    def barrier(self):
        """What was sent before is worked off, and what came of it is here: a server answers PING before the rest that it
        has to say, but all of that before it reads what follows."""
        for _ in range(2):
            self.pings += 1
            payload = struct.pack(">Q", 0xbafa_0000 + self.pings)
            self.send(frame(PING, 0, 0, payload))
            if not self.until(lambda seen: (PING, ACK, 0, payload) in seen.frames[-1:]):
                return

    def is_answered(self, stream):
        return stream in self.ended and self.fields[stream].get(":status") == "200"

    def summary(self):
        """What came, in words."""
        if self.goaway not in (None, "NO_ERROR"):
            return f"GOAWAY {self.goaway}" + ("" if self.is_closed else ", stays open")
        resets = [reset for reset in self.resets.values() if reset != "NO_ERROR"]
        if resets:
            return f"RST_STREAM {resets[0]}" + (", closes" if self.is_closed and not self.goaway else "")
        ended = [self.fields[stream].get(":status") for stream in sorted(self.ended)]
        if ended:
            return "answers" if set(ended) == {"200"} else f"answers {ended[-1]}"
        return "closes" if self.is_closed else "goes on"


# What must come: functions that have a connection and say whether it came.

def connection_error(*codes, silent=False):
    """GOAWAY with one of the codes, and the end. §5.4.1; `silent`: GOAWAY may be left out."""
    def must(seen):
        if not seen.is_closed and seen.goaway:
            seen.until(lambda seen: False)
        return seen.is_closed and (seen.goaway in codes or silent and seen.goaway is None)

    must.text = f"connection error {' or '.join(codes)}"
    must.stream = None
    return must


def stream_error(*codes):
    """RST_STREAM with one of the codes, or the same of the connection (§5.4); of a malformed request also a status first
    (§8.1.1)."""
    def must(seen):
        refused = any(400 <= int(fields.get(":status", 0)) < 500 for fields in seen.fields.values())
        return (any(reset in codes for reset in seen.resets.values()) or connection_error(*codes)(seen)
                or "PROTOCOL_ERROR" in codes and refused)

    must.text = f"stream error {' or '.join(codes)}"
    must.stream = None
    return must


def answered(stream=1, stays=True):
    """The request of a stream is answered; `stays`: and nobody ends the connection."""
    def must(seen):
        return seen.is_answered(stream) and not (stays and (seen.is_closed or seen.goaway))

    must.text = "an answer" if stream == 1 else "an answer to the last"
    must.stream = stream
    return must


def harmless():
    """Nothing ends."""
    def must(seen):
        return not seen.is_closed and not seen.goaway and set(seen.resets.values()) <= {"NO_ERROR"}

    must.text = "no error"
    must.stream = None
    return must


def any_of(*musts):
    def must(seen):
        return any(one(seen) for one in musts)

    must.text = " or ".join(one.text for one in musts)
    must.stream = None
    return must


# Probes of several steps: they raise an AssertionError.

HEAD = head()


def ask(seen, stream=1):
    seen.send(frame(HEADERS, END_HEADERS, stream, HEAD) + frame(DATA, END_STREAM, stream, BODY))


def must_answer(seen, stream=1):
    seen.until(lambda seen: stream in seen.ended)
    assert seen.is_answered(stream), "no answer"


def credit(seen, count, stream=1):
    seen.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", count)))


def received(seen, stream=1):
    return len(seen.bodies.get(stream, b""))


def first_frame_is_settings(seen):
    kind, flags, _, _ = seen.next()
    assert kind == SETTINGS and not flags & ACK, "the first frame is not SETTINGS"


def settings_are_acknowledged(seen):
    seen.barrier()
    acknowledgements = [of for of in seen.frames if of[0] == SETTINGS and of[1] & ACK]
    assert acknowledgements == [(SETTINGS, ACK, 0, b"")], "not acknowledged, or not once"


def ping_is_answered(seen):
    seen.send(frame(PING, 0, 0, b"eight by"))
    assert seen.until(lambda seen: (PING, ACK, 0, b"eight by") in seen.frames), "no answer"


def ping_ack_is_not(seen):
    seen.send(frame(PING, ACK, 0, b"an answe"))
    seen.barrier()
    assert not any(payload == b"an answe" for _, _, _, payload in seen.frames), "answered"


def goaway_names_the_last_stream(seen):
    ask(seen)
    must_answer(seen)
    seen.send(frame(PING, 0, 1, bytes(8)))
    seen.until(lambda seen: seen.goaway)
    last = [int.from_bytes(of[3][:4], "big") for of in seen.frames if of[0] == GOAWAY]
    assert last == [1], f"the last stream is 1, GOAWAY says {last}"
    seen.until(lambda seen: False)


def small_table(seen):
    """All fields of two answers are decoded with a table that holds nothing."""
    seen.decoder.max_allowed_table_size = 0
    for stream in (1, 3):
        ask(seen, stream)
        must_answer(seen, stream)


def one_byte_at_a_time(seen):
    ask(seen)
    for count in (1, 2, 3):
        seen.barrier()
        assert received(seen) == count, f"{received(seen)} bytes with a window of {count}"
        credit(seen, 1)
    credit(seen, 60_000)
    must_answer(seen)


def window_is_raised(seen):
    ask(seen)
    seen.barrier()
    assert received(seen) == 0, "sends without a window"
    seen.send(frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1)))
    seen.barrier()
    assert received(seen) == 1, f"{received(seen)} bytes with a window of 1"


def window_below_zero(seen):
    ask(seen)
    seen.barrier()
    assert received(seen) == 3, f"{received(seen)} bytes with a window of 3"
    seen.send(frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 2)))
    credit(seen, 1)
    seen.barrier()
    assert received(seen) == 3, "sends with a window of 0"
    credit(seen, 1)
    seen.barrier()
    assert received(seen) == 4, f"{received(seen)} bytes with a window of 4"


def announced_streams(seen):
    seen.until(lambda seen: any(of[0] == SETTINGS and not of[1] & ACK for of in seen.frames))
    settings = next(of[3] for of in seen.frames if of[0] == SETTINGS)
    announced = dict(struct.iter_unpack(">HI", settings)).get(MAX_CONCURRENT_STREAMS)
    assert announced, "no bound is announced"
    return announced


def too_many_streams(seen):
    """Of a client that may not know the bound yet, the one too many is refused, the others are answered, and so is the
    next one when there is room again."""
    last = 2 * announced_streams(seen) + 1
    for stream in range(1, last + 1, 2):
        ask(seen, stream)
    seen.barrier()
    assert seen.resets == {last: "REFUSED_STREAM"}, seen.summary()
    credit(seen, 60_000, 1)
    must_answer(seen, 1)
    ask(seen, last + 2)
    credit(seen, 60_000, last + 2)
    must_answer(seen, last + 2)
    seen.resets.clear()


def too_many_streams_in_spite_of_settings(seen):
    """The same of a client that has acknowledged the bound."""
    announced = announced_streams(seen)
    seen.send(frame(SETTINGS, ACK, 0))
    for stream in range(1, 2 * announced + 2, 2):
        ask(seen, stream)
