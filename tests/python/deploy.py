"""A default client during a deploy: pick_first over several addresses, no retries, no health checks.

Usage: deploy.py PROTO_DIRECTORY ADDRESS..., with a server token in USHER_TOKEN. Calls from several threads, says
"calling" once the first calls were answered, goes on until its standard input ends, and prints what failed as JSON.
"""

import json
import os
import pathlib
import sys
import tempfile
import threading
import time

import grpc

import client

THREADS = 8
# Of several addresses none is a name.
AUTHORITY = [("grpc.default_authority", "usher")]


def main() -> None:
    protos, addresses = pathlib.Path(sys.argv[1]), sys.argv[2:]
    target = "ipv4:" + ",".join(addresses)
    stop, lock, calls, failures = threading.Event(), threading.Lock(), [0], []

    def call(usher: client.Usher) -> None:
        while not stop.is_set():
            try:
                usher.call("user", "GetUsers", {"userIds": ["nobody"]})
            except grpc.RpcError as error:
                with lock:
                    failures.append(f"{error.code()} {error.details()}")
            with lock:
                calls[0] += 1
            time.sleep(0.002)

    with tempfile.TemporaryDirectory() as out, grpc.insecure_channel(target, AUTHORITY) as channel:
        client.generate(protos, pathlib.Path(out))
        sys.path.insert(0, out)
        usher = client.Usher(channel, os.environ["USHER_TOKEN"])
        usher.call("user", "GetUsers", {"userIds": ["nobody"]})
        threads = [threading.Thread(target=call, args=(usher,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        print("calling", flush=True)
        sys.stdin.read()
        stop.set()
        for thread in threads:
            thread.join()
    print(json.dumps({"calls": calls[0], "failures": failures}), flush=True)


if __name__ == "__main__":
    main()
