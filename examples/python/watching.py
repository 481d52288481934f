"""A watch that goes on by itself, with stock grpcio.

It tells every change below a prefix once and in order, however often the connection is
lost: it goes on after the last version that was told.
"""

import time

import grpc
from kvix.v1 import kvix_pb2

RECONNECT_PAUSE_S = 0.2


class Watcher:
    """Watches a prefix.

    `after` is the version up to which all is known: that of the last batch or, at first,
    the store_version of any answer. None: what changes from now on. A program that keeps
    it goes on where it was, after a restart of its own too.
    """

    def __init__(self, kv, prefix, after=None):
        self._kv = kv
        self._prefix = prefix
        self.after = after

    def batches(self):
        """What happened, batch by batch; one without events says how far the watch is.

        A refusal of OUT_OF_RANGE (HISTORY_LOST) says that the changes after `after` are no
        longer all there: read the state anew, with include_current, and go on from it.
        """
        while True:
            try:
                yield from self._follow()
            except grpc.RpcError as error:
                # The server was stopped, or is starting; all else is for the caller.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            time.sleep(RECONNECT_PAUSE_S)

    def _follow(self):
        """Watches until the stream ends.

        Of a commit that comes in several messages the version stands before it until the
        last: what is lost midway is told again, whole.
        """
        request = kvix_pb2.WatchRequest(prefix=self._prefix, after_version=self.after)
        stream = self._kv.Watch(request)
        try:
            events = []
            for answer in stream:
                events.extend(answer.events)
                if answer.continues:
                    continue
                # Before it is handed out: a caller who leaves the loop has had it.
                self.after = answer.version
                yield events
                events = []
        finally:
            # A stream that is left while it goes on must be cancelled, or it stays for ever.
            stream.cancel()


def describe(event):
    """One change, for people."""
    key = event.record.key.decode()
    if event.kind == kvix_pb2.WATCH_EVENT_KIND_SET:
        return f"set {key} = {event.record.value.decode()}"
    if event.kind == kvix_pb2.WATCH_EVENT_KIND_DELETE:
        return f"delete {key}"
    return f"expire {key}"
