"""A tour of kvix from Python, with stock grpcio and stubs that the build generates.

    tour.py [HOST:PORT]                 all of it, once
    tour.py [HOST:PORT] watch PREFIX    tells what changes, across lost connections

Keys below "tour:" are its own.
"""

import sys
import uuid
from datetime import timedelta

import grpc
from kvix.v1 import kvix_pb2, kvix_pb2_grpc
from watching import Watcher, describe

DEFAULT_ADDRESS = "127.0.0.1:5849"

# The largest answer that is taken. It is the server's default, and grpcio's. If the server
# runs with a larger --max-message-bytes, say so here too: a client refuses by itself, with
# RESOURCE_EXHAUSTED, what is larger than its own limit. Upload and Download carry values
# of up to 100 MiB past it.
MESSAGE_BYTES_MAX = 4 * 1024 * 1024

# The deadline of every call but Scan and Watch. Without one, a call to a server that hangs
# never ends.
CALL_TIMEOUT_S = 10

OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # A watch may be silent for long, so only pings find out that its server is gone. kvix
    # takes any number of them. Many other servers, and proxies, end a connection that pings
    # more often than every five minutes ("too_many_pings").
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # grpcio by itself stops after two pings without data between them.
    ("grpc.http2.max_pings_without_data", 0),
]


def set_and_get(kv):
    # Once it is answered, no crash and no loss of power takes it away.
    written = kvix_pb2.SetRequest(key=b"tour:greeting", value=b"hello")
    kv.Set(written, timeout=CALL_TIMEOUT_S)
    found = kv.Get(kvix_pb2.GetRequest(key=b"tour:greeting"), timeout=CALL_TIMEOUT_S)
    missed = kv.Get(kvix_pb2.GetRequest(key=b"tour:nothing"), timeout=CALL_TIMEOUT_S)
    # A miss is no error: there is no record.
    missing = not missed.HasField("record")
    print(f"get: {found.record.value.decode()}, missing: {shown(missing)}")


def expire(kv):
    key = b"tour:session"
    exists = kvix_pb2.ExistsRequest(key=key)
    timed = kvix_pb2.SetRequest(key=key, value=b"ada", ttl=timedelta(minutes=30))
    kv.Set(timed, timeout=CALL_TIMEOUT_S)
    has_ttl = kv.Exists(exists, timeout=CALL_TIMEOUT_S).HasField("expire_time")
    # A Set without an expiry clears the old one; keep_ttl keeps it.
    kv.Set(kvix_pb2.SetRequest(key=key, value=b"ada"), timeout=CALL_TIMEOUT_S)
    is_cleared = not kv.Exists(exists, timeout=CALL_TIMEOUT_S).HasField("expire_time")
    print(f"ttl: {shown(has_ttl)}, cleared: {shown(is_cleared)}")


def compare_and_set(kv):
    """Writes only if the record still has the version that was read.

    Who comes second is told what stands, in the same round trip.
    """
    key = b"tour:document"
    first = kv.Set(kvix_pb2.SetRequest(key=key, value=b"draft"), timeout=CALL_TIMEOUT_S)
    unchanged = kvix_pb2.Precondition(version=first.version)
    mine, yours = (
        kv.Set(
            kvix_pb2.SetRequest(key=key, value=value, precondition=unchanged),
            timeout=CALL_TIMEOUT_S,
        )
        for value in (b"mine", b"yours")
    )
    stands = yours.current.value.decode()
    print(f"cas: {shown(mine.applied)}, then {shown(yours.applied)}, for it is {stands}")


def commit(kv):
    """Moves 30 from one account to another: both or neither, also across a crash."""
    source, target = b"tour:account:a", b"tour:account:b"
    opened = kv.Set(kvix_pb2.SetRequest(key=source, value=b"100"), timeout=CALL_TIMEOUT_S)
    kv.Set(kvix_pb2.SetRequest(key=target, value=b"0"), timeout=CALL_TIMEOUT_S)
    request = kvix_pb2.CommitRequest(
        # Under an id of its own a request may be sent again after an answer that was lost:
        # it is done once, and a repeat gets the first answer.
        request_id=uuid.uuid4().bytes,
        conditions=[
            kvix_pb2.CommitCondition(
                key=source, precondition=kvix_pb2.Precondition(version=opened.version)
            )
        ],
        mutations=[
            kvix_pb2.Mutation(increment=kvix_pb2.IncrementMutation(key=key, delta=delta))
            for key, delta in ((source, -30), (target, 30))
        ],
    )
    moved = kv.Commit(request, timeout=CALL_TIMEOUT_S)
    again = kv.Commit(request, timeout=CALL_TIMEOUT_S)
    a, b = (result.value for result in again.results)
    print(f"commit: {shown(moved.applied)}, a: {a}, b: {b}, repeated: {shown(again.repeated)}")


def scan(kv):
    """Reads a range in key order, all of it as it stood at one point in time.

    It has no deadline. Who leaves the loop early cancels it.
    """
    stream = kv.Scan(kvix_pb2.ScanRequest(prefix=b"tour:account:"))
    records = [listed.record for part in stream for listed in part.records]
    print("scan:", *(f"{record.key.decode()}={record.value.decode()}" for record in records))


def watch(kv):
    """Leaves after each change and comes back with the last version.

    Nothing that happened meanwhile is missed, and nothing comes twice.
    """
    key = b"tour:watched:light"
    # The store_version of an answer is where a watch without a gap begins.
    begun = kv.Exists(kvix_pb2.ExistsRequest(key=key), timeout=CALL_TIMEOUT_S)
    watcher = Watcher(kv, b"tour:watched:", begun.store_version)
    told = []
    for turn in (b"1", b"2", b"3"):
        kv.Set(kvix_pb2.SetRequest(key=key, value=turn), timeout=CALL_TIMEOUT_S)
        events = next(batch for batch in watcher.batches() if batch)
        told += [f"({describe(event)})" for event in events]
    print("watch:", *told)


def tell_changes(kv, prefix):
    """Prints what changes below the prefix until the program is ended."""
    for events in Watcher(kv, prefix).batches():
        if not events:
            print("watching", flush=True)
        for event in events:
            print(describe(event), flush=True)


def shown(truth):
    return "true" if truth else "false"


def main(address=DEFAULT_ADDRESS, *words):
    # One channel carries any number of calls at once, and comes back by itself.
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        kv = kvix_pb2_grpc.KvServiceStub(channel)
        if words[:1] == ("watch",):
            tell_changes(kv, words[1].encode())
            return
        for part in (set_and_get, expire, compare_and_set, commit, scan, watch):
            part(kv)


main(*sys.argv[1:])
