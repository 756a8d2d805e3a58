"""The MUSTs of RFC 9113 (and of RFC 7541, its header compression) that a server can be shown to meet: one table, `CASES`.

Every case is bytes that follow the opening (preface and SETTINGS) of a connection of its own, and what must come of
them; `probe` cases say and hear more than once. A request is GetUsage: of another server, a file of that path.
"""

import struct
from dataclasses import dataclass
from typing import Callable

import judging
from judging import answered, any_of, connection_error, harmless, stream_error
from peers import (ACK, BODY, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, MESSAGE, PING, PREFACE,
                   PRIORITY, RESET, SETTINGS, SERVICE, UNKNOWN, WINDOW_UPDATE, field, frame, integer)

PUSH_PROMISE = 5
PADDED, PRIORITIZED = 8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5


@dataclass
class Case:
    name: str
    section: str
    # What is sent, in words.
    what: str
    must: Callable
    sent: bytes = b""
    # The client's SETTINGS; None: `sent` has no opening.
    settings: bytes = b""
    # Sent when stream 1 is answered.
    then: bytes = b""
    # Instead of `sent`: has a connection, and raises an AssertionError; what it wants, in words.
    probe: Callable = None
    wants: str = ""
    # nghttpd cannot be brought into this state; why.
    ours: str = ""
    # What this server does instead, and why.
    instead: Callable = None
    why: str = ""


def setting(*pairs):
    return b"".join(struct.pack(">HI", *pair) for pair in pairs)


def number(value):
    return struct.pack(">I", value)


FIELDS = {":method": "POST", ":scheme": "http", ":path": SERVICE + "GetUsage", ":authority": "x",
          "content-type": "application/grpc", "te": "trailers"}


def block(*more, without=(), **changed):
    """A request's header block; `more`: encoded fields at the end."""
    fields = {**FIELDS, **{f":{name}": value for name, value in changed.items()}}
    return b"".join(field(name, value) for name, value in fields.items() if name not in without) + b"".join(more)


def request(stream=1, head=None, body=BODY):
    head = block() if head is None else head
    return frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body)


def opened(stream=1, head=None):
    """A request whose body is outstanding."""
    return frame(HEADERS, END_HEADERS, stream, block() if head is None else head)


def malformed(name, section, what, head):
    return Case(name, section, what, stream_error("PROTOCOL_ERROR"), request(head=head))


def compression(name, section, what, more):
    return Case(name, section, what, connection_error("COMPRESSION_ERROR"), request(head=more))


# A request in two blocks: the second field of the first one enters the dynamic table.
INDEXED = field("x-indexed", "1", indexed=True)
NO_WINDOW = setting((INITIAL_WINDOW_SIZE, 0))
# A message of one whole frame: unknown fields are passed over.
FILLING = 16_384 - 5 - len(MESSAGE) - 4
FULL_BODY = struct.pack(">BI", 0, 16_384 - 5) + MESSAGE + b"\x7a" + integer(FILLING, 7) + bytes(FILLING)
FIRST_HALF, SECOND_HALF = block()[:20], block()[20:]


CASES = [
    # RFC 9113 §3.4: the preface.
    Case("server-preface", "3.4", "nothing but the client's preface", harmless(), probe=judging.first_frame_is_settings,
         wants="SETTINGS as the first frame"),
    Case("wrong-preface", "3.4", "HTTP/1.1 in place of the preface", connection_error("PROTOCOL_ERROR", silent=True),
         b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", settings=None),
    Case("preface-without-settings", "3.4", "PING as the first frame", connection_error("PROTOCOL_ERROR"),
         PREFACE + frame(PING, 0, 0, bytes(8)), settings=None),
    Case("request-with-the-preface", "3.4", "a request before the server's SETTINGS have come", answered(), request()),

    # §4.1, §4.2: frames.
    Case("unknown-type", "4.1, 5.5", "a frame of an unknown type", answered(),
         frame(UNKNOWN, 0xff, 0, b"12345678") + request()),
    Case("unknown-flags", "4.1", "PING with undefined flags", answered(),
         frame(PING, 0x16, 0, b"undefine") + request()),
    Case("reserved-bit", "4.1", "PING with the reserved bit set", answered(),
         frame(PING, 0, 1 << 31, b"reserved") + request()),
    Case("largest-frame", "4.2", "DATA of 2^14 bytes", answered(), request(body=FULL_BODY)),
    Case("data-too-large", "4.2", "DATA of 2^14 + 1 bytes", stream_error("FRAME_SIZE_ERROR"),
         opened() + frame(DATA, END_STREAM, 1, bytes(16_385))),
    Case("headers-too-large", "4.2", "HEADERS of 2^14 + 1 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(HEADERS, END_HEADERS, 1, bytes(16_385))),
    Case("settings-too-large", "4.2", "SETTINGS of 2^14 + 2 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(SETTINGS, 0, 0, bytes(16_386))),

    # §4.3: header blocks, and what RFC 7541 demands of them.
    compression("index-0", "4.3; 7541: 6.1", "an indexed field of index 0", block() + b"\x80"),
    compression("index-unknown", "4.3; 7541: 2.3.3", "an index beyond both tables", block() + b"\xff\x7f"),
    compression("string-cut-short", "4.3; 7541: 5.2", "a string longer than its block", block() + b"\x00\x7f\x10x"),
    compression("integer-overflow", "4.3; 7541: 5.1", "an integer that does not end",
                block() + b"\xff" + b"\xff" * 12),
    compression("huffman-padding", "4.3; 7541: 5.2", "more than 7 bits of Huffman padding",
                block() + b"\x00\x01x" + b"\x82\x1f\xff"),
    compression("huffman-padding-zero", "4.3; 7541: 5.2", "Huffman padding of zeros",
                block() + b"\x00\x01x" + b"\x81\x18"),
    compression("huffman-eos", "4.3; 7541: 5.2", "a Huffman string with EOS",
                block() + b"\x00\x01x" + b"\x84" + b"\xff" * 4),
    compression("table-too-large", "4.3; 7541: 6.3", "a dynamic table larger than is allowed",
                integer(1 << 20, 5, 0x20) + block()),
    compression("table-size-late", "4.3; 7541: 4.2", "a dynamic table's size after a field",
                block() + integer(0, 5, 0x20)),
    Case("table-size-first", "4.3; 7541: 4.2", "a dynamic table's size before all fields", answered(),
         request(head=integer(0, 5, 0x20) + integer(4_096, 5, 0x20) + block())),
    Case("table-outlives-malformed", "4.3", "a malformed request with an indexed field, then one that refers to it",
         answered(3), request(head=block(INDEXED, field("X-Upper", "1"))) + request(3, block(b"\xbe"))),
    Case("small-peer-table", "4.3; 7541: 4.2", "HEADER_TABLE_SIZE 0, then two requests", answered(),
         settings=setting((HEADER_TABLE_SIZE, 0)), probe=judging.small_table,
         wants="answers that need no table"),
    Case("block-interrupted-priority", "4.3, 6.10", "PRIORITY within a header block", connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, block()) + frame(PRIORITY, 0, 1, bytes(5)) + frame(CONTINUATION, END_HEADERS, 1)),
    Case("block-interrupted-headers", "4.3, 6.2", "another stream's HEADERS within a header block",
         connection_error("PROTOCOL_ERROR"), frame(HEADERS, 0, 1, block()) + request(3)),
    Case("block-interrupted-data", "4.3, 6.2", "DATA within a header block", connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, block()) + frame(DATA, END_STREAM, 1, BODY)),
    Case("block-interrupted-ping", "4.3, 6.2", "PING within a header block", connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, block()) + frame(PING, 0, 0, bytes(8))),
    Case("block-interrupted-unknown", "4.3, 5.5", "a frame of an unknown type within a header block",
         connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, block()) + frame(UNKNOWN, 0, 1, b"x") + frame(CONTINUATION, END_HEADERS, 1)),

    # §5.1: states.
    Case("idle-data", "5.1", "DATA on an idle stream", connection_error("PROTOCOL_ERROR"), frame(DATA, END_STREAM, 1, BODY)),
    Case("idle-reset", "5.1, 6.4", "RST_STREAM on an idle stream", connection_error("PROTOCOL_ERROR"),
         frame(RESET, 0, 1, number(8))),
    Case("idle-window-update", "5.1", "WINDOW_UPDATE on an idle stream", connection_error("PROTOCOL_ERROR"),
         frame(WINDOW_UPDATE, 0, 1, number(100))),
    Case("idle-continuation", "5.1, 6.10", "CONTINUATION on an idle stream", connection_error("PROTOCOL_ERROR"),
         frame(CONTINUATION, END_HEADERS, 1, block())),
    Case("idle-priority", "5.1, 6.3", "PRIORITY on an idle stream", answered(),
         frame(PRIORITY, 0, 1, bytes(4) + b"\x10") + request()),
    Case("reserved-headers", "5.1, 5.1.1", "HEADERS on a stream that only the server may reserve",
         connection_error("PROTOCOL_ERROR"), request() + opened(4)),
    Case("half-closed-data", "5.1, 6.1", "DATA after END_STREAM", stream_error("STREAM_CLOSED"),
         request() + frame(DATA, END_STREAM, 1, BODY), settings=NO_WINDOW),
    Case("half-closed-headers", "5.1", "HEADERS after END_STREAM", stream_error("STREAM_CLOSED"),
         request() + frame(HEADERS, END_HEADERS | END_STREAM, 1, field("x", "1")), settings=NO_WINDOW),
    Case("half-closed-continuation", "5.1, 6.10", "CONTINUATION after END_STREAM",
         connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"), request() + frame(CONTINUATION, END_HEADERS, 1),
         settings=NO_WINDOW),
    Case("half-closed-window-update", "5.1", "WINDOW_UPDATE after END_STREAM", answered(),
         request() + frame(WINDOW_UPDATE, 0, 1, number(60_000)), settings=NO_WINDOW),
    Case("half-closed-priority", "5.1", "PRIORITY after END_STREAM", answered(),
         request() + frame(PRIORITY, 0, 1, bytes(4) + b"\x10") + frame(WINDOW_UPDATE, 0, 1, number(60_000)),
         settings=NO_WINDOW),
    Case("half-closed-reset", "5.1", "RST_STREAM after END_STREAM, then another request", answered(3),
         request() + frame(RESET, 0, 1, number(8)) + request(3) + frame(WINDOW_UPDATE, 0, 3, number(60_000)),
         settings=NO_WINDOW),
    Case("closed-data", "5.1", "DATA on a stream that was answered",
         any_of(harmless(), stream_error("STREAM_CLOSED")), request(), then=frame(DATA, END_STREAM, 1, BODY)),
    Case("closed-headers", "5.1", "HEADERS on a stream that was answered",
         any_of(harmless(), stream_error("STREAM_CLOSED", "PROTOCOL_ERROR")), request(), then=opened(1)),
    Case("closed-continuation", "5.1, 6.10", "CONTINUATION on a stream that was answered",
         connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"), request(), then=frame(CONTINUATION, END_HEADERS, 1)),
    Case("closed-window-update", "5.1", "WINDOW_UPDATE on a stream that was answered", harmless(), request(),
         then=frame(WINDOW_UPDATE, 0, 1, number(1))),
    Case("closed-reset", "5.1", "RST_STREAM on a stream that was answered", harmless(), request(),
         then=frame(RESET, 0, 1, number(8))),
    Case("closed-priority", "5.1", "PRIORITY on a stream that was answered", harmless(), request(),
         then=frame(PRIORITY, 0, 1, bytes(4) + b"\x10")),
    Case("reset-by-us-data", "5.1", "DATA on a stream that the server has reset, then another request", answered(3),
         opened(head=block(field("X-Upper", "1"))) + frame(DATA, END_STREAM, 1, BODY) + request(3)),
    Case("reset-by-us-trailers", "5.1, 4.3", "trailers on a stream that the server has reset, then a request that refers to "
         "their field", answered(3),
         opened(head=block(field("X-Upper", "1"))) + frame(HEADERS, END_HEADERS | END_STREAM, 1, INDEXED)
         + request(3, block(b"\xbe"))),
    Case("reset-by-us-window-update", "5.1", "WINDOW_UPDATE on a stream that the server has reset, then another request",
         answered(3), opened(head=block(field("X-Upper", "1"))) + frame(WINDOW_UPDATE, 0, 1, number(1)) + request(3)),
    Case("reset-by-peer-data", "5.1", "DATA on a stream that the client has reset",
         any_of(harmless(), stream_error("STREAM_CLOSED")),
         opened() + frame(RESET, 0, 1, number(8)) + frame(DATA, END_STREAM, 1, BODY)),

    # §5.1.1, §5.1.2: identifiers and concurrency.
    Case("even-stream", "5.1.1", "HEADERS on an even stream", connection_error("PROTOCOL_ERROR"), request(2)),
    Case("falling-stream", "5.1.1", "HEADERS on a stream below one that was opened",
         connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"), request(5) + request(3), instead=harmless(),
         why="a stream that was passed over cannot be told from one that the server has reset, of which frames may be under "
         "way (§5.1), without remembering all of them. Its frames are passed over, and more than a few of them end the "
         "connection with STREAM_CLOSED"),
    Case("skipped-streams", "5.1.1", "HEADERS on stream 101, the first", answered(101), request(101)),
    Case("too-many-streams", "5.1.2", "one stream more than there may be at once, before SETTINGS are acknowledged",
         harmless(), settings=NO_WINDOW, probe=judging.too_many_streams,
         wants="REFUSED_STREAM for it alone, and answers to all others"),
    Case("too-many-streams-acknowledged", "5.1.2", "the same after they are",
         stream_error("PROTOCOL_ERROR", "REFUSED_STREAM"), settings=NO_WINDOW, probe=judging.too_many_streams_in_spite_of_settings),

    # §6.1, §6.2: DATA and HEADERS.
    Case("data-stream-0", "6.1", "DATA on stream 0", connection_error("PROTOCOL_ERROR"), frame(DATA, 0, 0, BODY)),
    Case("data-padded", "6.1", "DATA with padding", answered(),
         opened() + frame(DATA, END_STREAM | PADDED, 1, b"\x05" + BODY + bytes(5))),
    Case("data-padding-too-long", "6.1", "DATA whose padding is as long as the frame", connection_error("PROTOCOL_ERROR"),
         opened() + frame(DATA, END_STREAM | PADDED, 1, b"\x09" + bytes(8))),
    Case("data-padding-missing", "6.1, 4.2", "DATA with padding and no byte",
         connection_error("FRAME_SIZE_ERROR", "PROTOCOL_ERROR"), opened() + frame(DATA, PADDED, 1)),
    Case("data-empty", "6.1", "empty DATA with END_STREAM at the end", answered(),
         opened() + frame(DATA, 0, 1, BODY) + frame(DATA, END_STREAM, 1)),
    Case("headers-stream-0", "6.2", "HEADERS on stream 0", connection_error("PROTOCOL_ERROR"), opened(0)),
    Case("headers-padded", "6.2", "HEADERS with padding and priority", answered(),
         frame(HEADERS, END_HEADERS | PADDED | PRIORITIZED, 1, b"\x03" + bytes(4) + b"\x10" + block() + bytes(3))
         + frame(DATA, END_STREAM, 1, BODY)),
    Case("headers-padding-too-long", "6.2", "HEADERS whose padding is as long as the frame",
         connection_error("PROTOCOL_ERROR"), frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + block()[:100])),
    Case("headers-priority-cut-short", "6.2, 4.2", "HEADERS with priority and 4 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(HEADERS, END_HEADERS | PRIORITIZED, 1, bytes(4))),

    # §6.3, §6.4: PRIORITY and RST_STREAM.
    Case("priority-stream-0", "6.3", "PRIORITY on stream 0", connection_error("PROTOCOL_ERROR"),
         frame(PRIORITY, 0, 0, bytes(4) + b"\x10")),
    Case("priority-length", "6.3", "PRIORITY of 4 bytes", stream_error("FRAME_SIZE_ERROR"),
         opened() + frame(PRIORITY, 0, 1, bytes(4))),
    Case("reset-stream-0", "6.4", "RST_STREAM on stream 0", connection_error("PROTOCOL_ERROR"),
         frame(RESET, 0, 0, number(8))),
    Case("reset-length", "6.4", "RST_STREAM of 3 bytes", connection_error("FRAME_SIZE_ERROR"),
         opened() + frame(RESET, 0, 1, bytes(3))),

    # §6.5: SETTINGS.
    Case("settings-acknowledged", "6.5.3", "SETTINGS", harmless(), probe=judging.settings_are_acknowledged,
         wants="one acknowledgement"),
    Case("settings-ack-with-payload", "6.5", "SETTINGS with ACK and a payload", connection_error("FRAME_SIZE_ERROR"),
         frame(SETTINGS, ACK, 0, setting((HEADER_TABLE_SIZE, 1)))),
    Case("settings-stream-1", "6.5", "SETTINGS on stream 1", connection_error("PROTOCOL_ERROR"),
         frame(SETTINGS, 0, 1, setting((HEADER_TABLE_SIZE, 1)))),
    Case("settings-length", "6.5", "SETTINGS of 5 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(SETTINGS, 0, 0, bytes(5))),
    Case("settings-enable-push", "6.5.2", "ENABLE_PUSH 2", connection_error("PROTOCOL_ERROR"),
         frame(SETTINGS, 0, 0, setting((ENABLE_PUSH, 2)))),
    Case("settings-window-too-large", "6.5.2", "INITIAL_WINDOW_SIZE 2^31", connection_error("FLOW_CONTROL_ERROR"),
         frame(SETTINGS, 0, 0, setting((INITIAL_WINDOW_SIZE, 1 << 31)))),
    Case("settings-frame-too-small", "6.5.2", "MAX_FRAME_SIZE 2^14 - 1", connection_error("PROTOCOL_ERROR"),
         frame(SETTINGS, 0, 0, setting((MAX_FRAME_SIZE, (1 << 14) - 1)))),
    Case("settings-frame-too-large", "6.5.2", "MAX_FRAME_SIZE 2^24", connection_error("PROTOCOL_ERROR"),
         frame(SETTINGS, 0, 0, setting((MAX_FRAME_SIZE, 1 << 24)))),
    Case("settings-unknown", "6.5.2", "an unknown setting", answered(),
         frame(SETTINGS, 0, 0, setting((0xf0f0, 0xffff_ffff))) + request()),
    Case("settings-in-order", "6.5.3", "INITIAL_WINDOW_SIZE 100, then 1 in the same frame", harmless(),
         settings=setting((INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)), probe=judging.one_byte_at_a_time,
         wants="one byte of the answer for each byte of credit"),

    # §6.6 ... §6.8: PUSH_PROMISE, PING and GOAWAY.
    Case("push-promise", "6.6, 8.4", "PUSH_PROMISE from a client", connection_error("PROTOCOL_ERROR"),
         opened() + frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + block())),
    Case("ping", "6.7", "PING with eight bytes", harmless(), probe=judging.ping_is_answered,
         wants="an acknowledgement with the same bytes"),
    Case("ping-ack", "6.7", "PING with ACK", harmless(), probe=judging.ping_ack_is_not,
         wants="no answer"),
    Case("ping-stream-1", "6.7", "PING on stream 1", connection_error("PROTOCOL_ERROR"), frame(PING, 0, 1, bytes(8))),
    Case("ping-length", "6.7", "PING of 7 bytes", connection_error("FRAME_SIZE_ERROR"), frame(PING, 0, 0, bytes(7))),
    Case("goaway-stream-1", "6.8", "GOAWAY on stream 1", connection_error("PROTOCOL_ERROR"), frame(GOAWAY, 0, 1, bytes(8))),
    Case("goaway-length", "6.8, 4.2", "GOAWAY of 7 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(GOAWAY, 0, 0, bytes(7))),
    Case("goaway-finishes", "6.8", "GOAWAY while a request is being answered", answered(stays=False),
         request() + frame(GOAWAY, 0, 0, bytes(8)) + frame(WINDOW_UPDATE, 0, 1, number(60_000)), settings=NO_WINDOW),

    Case("goaway-last-stream", "6.8, 5.4.1", "a request, and PING on a stream when it is answered",
         connection_error("PROTOCOL_ERROR"),
         probe=judging.goaway_names_the_last_stream,
         wants="connection error PROTOCOL_ERROR that names stream 1"),

    # §6.9: windows.
    Case("increment-0-connection", "6.9", "WINDOW_UPDATE of 0 on the connection", connection_error("PROTOCOL_ERROR"),
         frame(WINDOW_UPDATE, 0, 0, number(0))),
    Case("increment-0-stream", "6.9", "WINDOW_UPDATE of 0 on a stream", stream_error("PROTOCOL_ERROR"),
         opened() + frame(WINDOW_UPDATE, 0, 1, number(0))),
    Case("window-update-length", "6.9", "WINDOW_UPDATE of 3 bytes", connection_error("FRAME_SIZE_ERROR"),
         frame(WINDOW_UPDATE, 0, 0, bytes(3))),
    Case("window-obeyed", "6.9.1", "INITIAL_WINDOW_SIZE 1, then credit of 1 byte twice", harmless(),
         settings=setting((INITIAL_WINDOW_SIZE, 1)), probe=judging.one_byte_at_a_time,
         wants="one byte of the answer for each byte of credit"),
    Case("window-too-large-connection", "6.9.1", "the connection's window beyond 2^31 - 1",
         connection_error("FLOW_CONTROL_ERROR"), frame(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1)) * 2),
    Case("window-too-large-stream", "6.9.1", "a stream's window beyond 2^31 - 1", stream_error("FLOW_CONTROL_ERROR"),
         opened() + frame(WINDOW_UPDATE, 0, 1, number((1 << 31) - 1)) * 2),
    Case("window-exceeded", "6.9.1, 5.2.1", "more DATA than the stream's window, on a stream whose answers are not read",
         stream_error("FLOW_CONTROL_ERROR"), opened(head=block(path=SERVICE + "CheckAndReserveStream"))
         + frame(DATA, 0, 1, bytes(16_384)) * 13, settings=NO_WINDOW, ours="takes what it is sent at once"),
    Case("window-changed", "6.9.2", "INITIAL_WINDOW_SIZE 0, later 1", harmless(), settings=NO_WINDOW,
         probe=judging.window_is_raised,
         wants="nothing of the answer, then one byte"),
    Case("window-negative", "6.9.2", "a window of 3 made -1 by SETTINGS, then 1 by credit", harmless(),
         settings=setting((INITIAL_WINDOW_SIZE, 3)), probe=judging.window_below_zero,
         wants="three bytes of the answer, nothing, then one"),
    Case("window-too-large-settings", "6.9.2", "SETTINGS that make a window larger than 2^31 - 1",
         connection_error("FLOW_CONTROL_ERROR"),
         opened() + frame(WINDOW_UPDATE, 0, 1, number((1 << 31) - 1))
         + frame(SETTINGS, 0, 0, setting((INITIAL_WINDOW_SIZE, 9))),
         settings=NO_WINDOW),

    # §6.10: CONTINUATION.
    Case("continuations", "6.10", "a header block in four frames", answered(),
         frame(HEADERS, 0, 1, FIRST_HALF) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, 0, 1, SECOND_HALF)
         + frame(CONTINUATION, END_HEADERS, 1) + frame(DATA, END_STREAM, 1, BODY)),
    Case("continuation-stream-0", "6.10", "CONTINUATION on stream 0", connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, FIRST_HALF) + frame(CONTINUATION, END_HEADERS, 0, SECOND_HALF)),
    Case("continuation-other-stream", "6.10", "CONTINUATION on another stream", connection_error("PROTOCOL_ERROR"),
         frame(HEADERS, 0, 1, FIRST_HALF) + frame(CONTINUATION, END_HEADERS, 3, SECOND_HALF)),
    Case("continuation-after-headers", "6.10", "CONTINUATION after a complete block", connection_error("PROTOCOL_ERROR"),
         opened() + frame(CONTINUATION, END_HEADERS, 1, field("x", "1"))),
    Case("continuation-after-data", "6.10", "CONTINUATION after DATA", connection_error("PROTOCOL_ERROR"),
         opened() + frame(DATA, 0, 1, BODY) + frame(CONTINUATION, END_HEADERS, 1, field("x", "1"))),

    # §7: error codes.
    Case("unknown-error-reset", "7", "RST_STREAM with an unknown code, then another request", answered(3),
         opened() + frame(RESET, 0, 1, number(0xff)) + request(3)),
    Case("unknown-error-goaway", "7", "GOAWAY with an unknown code while a request is being answered", answered(stays=False),
         request() + frame(GOAWAY, 0, 0, number(0) + number(0xff)) + frame(WINDOW_UPDATE, 0, 1, number(60_000)),
         settings=NO_WINDOW),

    # §8.1: messages.
    Case("trailers", "8.1", "a request with trailers", answered(),
         opened() + frame(DATA, 0, 1, BODY) + frame(HEADERS, END_HEADERS | END_STREAM, 1, field("x-last", "1"))),
    Case("second-headers", "8.1", "HEADERS in the middle of a request", stream_error("PROTOCOL_ERROR"),
         opened() + frame(HEADERS, END_HEADERS, 1, field("x", "1")) + frame(DATA, END_STREAM, 1, BODY)),
    Case("length-too-long", "8.1.1", "a body shorter than content-length", stream_error("PROTOCOL_ERROR"),
         request(head=block(field("content-length", str(len(BODY) + 1))))),
    Case("length-too-short", "8.1.1", "a body longer than content-length, in two frames", stream_error("PROTOCOL_ERROR"),
         opened(head=block(field("content-length", str(len(BODY) - 1)))) + frame(DATA, 0, 1, BODY[:5])
         + frame(DATA, END_STREAM, 1, BODY[5:])),
    Case("length-without-body", "8.1.1", "content-length and END_STREAM with the fields", stream_error("PROTOCOL_ERROR"),
         frame(HEADERS, END_HEADERS | END_STREAM, 1, block(field("content-length", "1")))),
    Case("length-right", "8.1.1", "a body as long as content-length", answered(),
         request(head=block(field("content-length", str(len(BODY)))))),
    malformed("length-no-number", "8.1.1", "content-length that is no number", block(field("content-length", "x"))),
    malformed("length-twice", "8.1.1", "two values of content-length",
              block(field("content-length", str(len(BODY))), field("content-length", "1"))),

    # §8.2: fields.
    malformed("name-uppercase", "8.2.1", "an upper-case name", block(field("X-Test", "1"))),
    malformed("name-empty", "8.2.1", "an empty name", block(field("", "1"))),
    malformed("name-space", "8.2.1", "a space in a name", block(field("x test", "1"))),
    malformed("name-delete", "8.2.1", "0x7f in a name", block(field("x\x7f", "1"))),
    malformed("name-not-ascii", "8.2.1", "a name that is not ASCII", block(field("é", "1"))),
    malformed("name-colon", "8.2.1", "a colon within a name", block(field("x:y", "1"))),
    malformed("value-nul", "8.2.1", "NUL in a value", block(field("x", "a\0b"))),
    malformed("value-cr", "8.2.1", "CR in a value", block(field("x", "a\rb"))),
    malformed("value-lf", "8.2.1", "LF in a value", block(field("x", "a\nb"))),
    malformed("value-leading-space", "8.2.1", "a space at the beginning of a value", block(field("x", " a"))),
    malformed("value-trailing-tab", "8.2.1", "a tab at the end of a value", block(field("x", "a\t"))),
    *[malformed(f"field-{name}", "8.2.2", f"the field {name}", block(field(name, value)))
      for name, value in [("connection", "keep-alive"), ("keep-alive", "1"), ("proxy-connection", "keep-alive"),
                          ("transfer-encoding", "chunked"), ("upgrade", "h2c")]],
    malformed("te-gzip", "8.2.2", "te: gzip", block(field("te", "gzip"), without=["te"])),

    # §8.3: pseudo-header fields.
    malformed("pseudo-unknown", "8.3", "an unknown pseudo-header field", field(":test", "1") + block()),
    malformed("pseudo-status", "8.3", "a response's pseudo-header field", field(":status", "200") + block()),
    malformed("pseudo-protocol", "8.3", ":protocol, which nobody has announced", field(":protocol", "x") + block()),
    malformed("pseudo-last", "8.3", "a pseudo-header field after others",
              block(field(":method", "POST"), without=[":method"])),
    Case("pseudo-in-trailers", "8.3", "a pseudo-header field in trailers", stream_error("PROTOCOL_ERROR"),
         opened() + frame(DATA, 0, 1, BODY) + frame(HEADERS, END_HEADERS | END_STREAM, 1, field(":method", "POST"))),
    *[malformed(f"without-{name}", "8.3.1", f"no :{name}", block(without=[f":{name}"]))
      for name in ("method", "scheme", "path")],
    *[malformed(f"twice-{name}", "8.3.1", f":{name} twice", field(f":{name}", FIELDS[f":{name}"]) + block())
      for name in ("method", "scheme", "path", "authority")],
    malformed("path-empty", "8.3.1", "an empty :path", block(path="")),
    malformed("path-without-slash", "8.3.1", ":path that does not begin with /", block(path="x")),
    malformed("connect-with-path", "8.5", "CONNECT with :scheme and :path", block(method="CONNECT")),
]


def starting(case):
    """What a case begins with."""
    if case.settings is None:
        return b""
    return PREFACE + frame(SETTINGS, 0, 0, case.settings)
