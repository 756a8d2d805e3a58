"""All connections of an attack. As a program:

swarm.py ATTACK HOST GRPC_PORT HTTP_PORT TOKEN [tls]   attacks until its input ends; says "full" when all connections
were opened once, and at the end, as JSON, what became of them; `tls`: both ports speak it
"""

import collections
import contextlib
import json
import os
import resource
import select
import selectors
import socket
import ssl
import sys
import time

from peers import TLS_ATTACKS, tls_context

# Seconds after which an attack ends by itself.
LONGEST = 300


class Connection:
    """One connection of an attack."""

    def __init__(self, attack, address, tls):
        self.socket = socket.socket()
        if not attack.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)
        if tls:
            self.socket = tls.wrap_socket(self.socket, do_handshake_on_connect=False)
        self.socket.connect_ex(address)
        # Whether the handshake is done, where there is one.
        self.is_open = tls is None
        self.pending = None
        self.number = 0


class Swarm:
    """All connections of an attack: those that are closed are opened again."""

    def __init__(self, attack, address, token, tls=None):
        self.attack, self.address, self.token, self.tls = attack, address, token, tls
        self.selector = selectors.DefaultSelector()
        # `secured`: handshakes that were done; `ended`: those of the closed that were through it.
        self.opened = self.secured = self.closed = self.ended = self.turns = 0
        self.open_count = 0
        # Those that neither say nor read anything more, and those that wait for their next turn.
        self.resting = []
        self.waiting = collections.deque()

    def run(self):
        is_full = False
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
            if not is_full and self.opened >= self.attack.connections:
                is_full = True
                print("full", flush=True)
            # A few at a time, so that each gets its turn.
            for _ in range(min(50, self.attack.connections - self.open_count)):
                self.open()
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                connection = self.waiting.popleft()[1]
                with contextlib.suppress(KeyError, ValueError):
                    self.selector.modify(
                        connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
            ready = self.selector.select(0.02)
            for key, events in ready:
                self.work(key.data, events)
        alive = self.open_count
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        return {"opened": self.opened, "secured": self.secured, "closed": self.closed, "ended": self.ended,
                "alive": alive, "turns": self.turns}

    def open(self):
        connection = Connection(self.attack, self.address, self.tls)
        self.selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        self.opened += 1
        self.open_count += 1

    def work(self, connection, events):
        try:
            if not connection.is_open:
                return self.shake_hands(connection)
            if events & selectors.EVENT_READ and self.attack.reads:
                if not connection.socket.recv(65_536):
                    raise ConnectionError
            if events & selectors.EVENT_WRITE:
                self.write(connection)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.closed += 1
            self.ended += connection.is_open
            self.close(connection)

    def close(self, connection):
        self.selector.unregister(connection.socket)
        connection.socket.close()
        self.open_count -= 1

    def shake_hands(self, connection):
        wanted = selectors.EVENT_READ | selectors.EVENT_WRITE
        try:
            connection.socket.do_handshake()
        except ssl.SSLWantReadError:
            wanted = selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            wanted = selectors.EVENT_WRITE
        else:
            connection.is_open = True
            self.secured += 1
            if self.attack.leaves:
                return self.close(connection)
        self.selector.modify(connection.socket, wanted, connection)

    def write(self, connection):
        if connection.pending is None:
            connection.pending = self.attack.begin(self.token)
        elif not connection.pending:
            connection.pending = self.attack.turn(connection.number, self.token)
            connection.number += 1
            self.turns += 1
            if not connection.pending:
                return self.rest(connection)
            if self.attack.pause:
                self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
                self.waiting.append((time.monotonic() + self.attack.pause, connection))
        if connection.pending:
            connection.pending = connection.pending[connection.socket.send(connection.pending):]

    def rest(self, connection):
        """It has said all that it has to say, and stays. One that does not read is not even looked at."""
        if self.attack.reads:
            self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
        else:
            self.selector.unregister(connection.socket)
            self.resting.append(connection)


def main():
    name, host, grpc, http, token, *is_tls = sys.argv[1:]
    attack = next(attack for attack in TLS_ATTACKS if attack.name == name)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    os.nice(5)  # The good client and the server have the machine first: an attacker is elsewhere.
    address = (host, int(http if attack.is_http else grpc))
    tls = tls_context(attack.is_http) if is_tls and not attack.is_bare else None
    swarm = Swarm(attack, address, token if attack.needs_token else None, tls)
    print(json.dumps(swarm.run()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
