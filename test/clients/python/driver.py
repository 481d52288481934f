"""A client of kvix made of stock grpcio and generated stubs, driven by a test.

    driver.py HOST:PORT

Reads calls from standard input, one JSON object a line, and makes each as soon
as it is read, all on one channel:

    {"id": 1, "service": "KvService", "method": "Get", "request": {"key": "aw=="}}

`request` is protobuf's JSON; `raw`, in its place, is the request's bytes in
base64, sent as they are; `requests`, of a call that takes a stream of them, are all
that are sent. `timeoutMs`, `gzip` and `waitForReady` are optional.
Writes the outcome of each call when it has one; of a stream the last message:

    {"id": 1, "response": {...}}
    {"id": 1, "error": {"code": "DATA_LOSS", "message": "...", "details": [...]}}

`details` are the messages of google.rpc.Status, unpacked, each with its type.
"""

import base64
import json
import sys
import threading

import grpc
from google.protobuf import json_format, message_factory
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from kvix.v1 import kvix_pb2, kvix_pb2_grpc

DETAIL_TYPES = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
)

output = threading.Lock()
under_way = threading.Semaphore(0)


def write(outcome):
    with output:
        print(json.dumps(outcome), flush=True)


def unpacked(detail):
    for detail_type in DETAIL_TYPES:
        if detail.Is(detail_type.DESCRIPTOR):
            message = detail_type()
            detail.Unpack(message)
            return {"type": detail_type.DESCRIPTOR.full_name, **json_format.MessageToDict(message)}
    return {"type": detail.TypeName()}


def error_of(error):
    status = rpc_status.from_call(error)
    details = [] if status is None else [unpacked(detail) for detail in status.details]
    return {"code": error.code().name, "message": error.details(), "details": details}


def prepared(channel, call):
    """The stub's method and the request; of a raw request a method that sends bytes."""
    service, method = call["service"], call["method"]
    if "raw" in call:
        path = f"/kvix.v1.{service}/{method}"
        return channel.unary_unary(path), base64.b64decode(call["raw"])
    stub = getattr(kvix_pb2_grpc, f"{service}Stub")(channel)
    descriptor = kvix_pb2.DESCRIPTOR.services_by_name[service].methods_by_name[method]
    message = message_factory.GetMessageClass(descriptor.input_type)
    if "requests" in call:
        requests = [json_format.ParseDict(each, message()) for each in call["requests"]]
        return getattr(stub, method), iter(requests)
    return getattr(stub, method), json_format.ParseDict(call["request"], message())


def finish(call, future):
    try:
        response = future.result()
        body = {} if isinstance(response, bytes) else json_format.MessageToDict(response)
        write({"id": call["id"], "response": body})
    except grpc.RpcError as error:
        write({"id": call["id"], "error": error_of(error)})
    except grpc.FutureCancelledError:
        write({"id": call["id"], "error": {"code": "CANCELLED", "message": "", "details": []}})
    finally:
        under_way.release()


def follow(call, answers):
    """Reads a stream to its end and answers with its last message."""
    try:
        response = {}
        for answer in answers:
            response = json_format.MessageToDict(answer)
        write({"id": call["id"], "response": response})
    except grpc.RpcError as error:
        write({"id": call["id"], "error": error_of(error)})
    finally:
        under_way.release()


def start(channel, call):
    method, request = prepared(channel, call)
    options = {
        "timeout": call.get("timeoutMs", 60_000) / 1000,
        "wait_for_ready": call.get("waitForReady", False),
        "compression": grpc.Compression.Gzip if call.get("gzip") else None,
    }
    if isinstance(method, (grpc.UnaryStreamMultiCallable, grpc.StreamStreamMultiCallable)):
        answers = method(request, **options)
        threading.Thread(target=follow, args=(call, answers)).start()
        return
    future = method.future(request, **options)
    future.add_done_callback(lambda done: finish(call, done))


def main(address):
    # Reconnect soon: the test restarts its server.
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)]
    with grpc.insecure_channel(address, options=options) as channel:
        count = 0
        for line in sys.stdin:
            start(channel, json.loads(line))
            count += 1
        for _ in range(count):
            under_way.acquire()


main(sys.argv[1])
