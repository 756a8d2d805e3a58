"""A client that asks for much and reads nothing costs the server little. Takes about 12 s."""

import socket
import struct
import time

import grpc
import h2.config
import h2.connection
import h2.settings
import pytest
from conftest import request

BATCH = "/tollgate.v1.LimitService/CheckAndReserveBatch"
SECONDS = 10
ALLOWED = 8 * 1024 * 1024


def resident(server):
    """Bytes of the process in memory."""
    with open(f"/proc/{server.process.pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Glutton:
    """Asks for batches, with windows that would take all answers, and reads nothing after the server's SETTINGS and first window."""

    def __init__(self, server, body):
        self.body = body
        self.asked = 0
        self.pending = b""
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_inbound_headers=False))
        self.http2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1},
        )
        self.http2.initiate_connection()
        self.http2.increment_flow_control_window(2**30)
        self.socket.sendall(self.http2.data_to_send())
        while self.http2.outbound_flow_control_window < 2**20:  # SETTINGS, then the connection's window
            self.http2.receive_data(self.socket.recv(65_536))
        self.socket.setblocking(False)

    def ask(self):
        """Sends what the socket and the windows take; False: nothing more just now."""
        if not self.pending:
            if self.http2.open_outbound_streams >= 256:
                return False
            if self.http2.outbound_flow_control_window < len(self.body):
                return False
            stream = self.http2.get_next_available_stream_id()
            self.http2.send_headers(
                stream,
                [
                    (":method", "POST"), (":scheme", "http"), (":path", BATCH), (":authority", "test"),
                    ("content-type", "application/grpc"), ("te", "trailers"),
                ],
            )
            frame = self.http2.max_outbound_frame_size
            pieces = [self.body[at:at + frame] for at in range(0, len(self.body), frame)]
            for index, piece in enumerate(pieces):
                self.http2.send_data(stream, piece, end_stream=index == len(pieces) - 1)
            self.pending = self.http2.data_to_send()
            self.asked += 1
        try:
            self.pending = self.pending[self.socket.send(self.pending):]
        except BlockingIOError:
            return False
        return True


@pytest.mark.thorough
def test_a_client_that_reads_nothing_costs_at_most_8_mib(contract, serve):
    server = serve("--threads", "1")
    # Denials say much about a short question.
    entry = request(contract, "acme", extensions=1000, mode=contract.MODE_CHECK_ONLY, include_limits=True)
    batch = contract.CheckAndReserveBatchRequest(requests=[entry] * 1000)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        answer = stub.CheckAndReserveBatch(batch, timeout=60)  # warms up what every batch uses
        message = batch.SerializeToString()
        before = resident(server)
        glutton = Glutton(server, struct.pack(">BI", 0, len(message)) + message)
        most, slowest, answers = before, 0.0, 0
        end = time.monotonic() + SECONDS

        def is_enough():
            return answers > SECONDS and glutton.asked * answer.ByteSize() > 2 * ALLOWED

        while time.monotonic() < end or (not is_enough() and time.monotonic() < end + 120):
            while glutton.ask():
                pass
            start = time.monotonic()
            stub.CheckAndReserve(entry, timeout=60)
            slowest = max(slowest, time.monotonic() - start)
            answers += 1
            most = max(most, resident(server))
            time.sleep(0.01)  # the pace of the measurement
        wanted = glutton.asked * answer.ByteSize()
        print(f"{glutton.asked} batches, answers of {wanted / 2**20:.1f} MiB wanted, "
              f"{(most - before) / 2**20:.1f} MiB more in memory, slowest of {answers} others {slowest * 1000:.0f} ms")
        assert wanted > 2 * ALLOWED, "the client asked for too little to show anything"
        assert most - before <= ALLOWED
        assert answers > SECONDS, "the others were not served"
        glutton.socket.close()
