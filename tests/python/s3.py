"""A real S3 server (moto) that can be made to fail. Prints its port.

POST /-/faults  {"down": bool, "corrupt": bool, "fail_parts_from": n, "deny_versions": bool} replaces the faults
GET  /-/world   {"objects": [key, ...], "versions": n, "uploads": n, "puts": n}, of the bucket `archives`
"""

import json

from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "archives"
faults = {}
counts = {"puts": 0}
moto = DomainDispatcherApplication(create_backend_app)


def answer(start_response, status, body=b""):
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]


def world():
    bucket = s3_backends["123456789012"]["aws"].buckets[BUCKET]
    versions = sum(len(bucket.keys.getlist(key)) for key in bucket.keys.keys())
    objects = [key for key in bucket.keys.keys() if not isinstance(bucket.keys[key], FakeMarker)]
    return {"objects": objects, "versions": versions, "uploads": len(bucket.multiparts), **counts}


try:
    from moto.s3.models import FakeDeleteMarker as FakeMarker
except ImportError:
    FakeMarker = ()


def application(environ, start_response):
    path, method, query = environ["PATH_INFO"], environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    if path == "/-/faults":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        faults.clear()
        faults.update(json.loads(environ["wsgi.input"].read(length)))
        return answer(start_response, "200 OK")
    if path == "/-/world":
        return answer(start_response, "200 OK", json.dumps(world()).encode())
    if faults.get("down"):
        return answer(start_response, "503 Service Unavailable")
    if faults.get("deny_versions") and "versionId=" in query:
        return answer(start_response, "403 Forbidden")
    if method == "PUT" and path.count("/") > 1:
        counts["puts"] += 1
    part = next((int(word[11:]) for word in query.split("&") if word.startswith("partNumber=")), 0)
    if "fail_parts_from" in faults and part >= faults["fail_parts_from"]:
        return answer(start_response, "500 Internal Server Error")
    body = moto(environ, start_response)
    if faults.get("corrupt") and method == "GET" and path.endswith(".gz"):
        whole = bytearray(b"".join(body))
        whole[len(whole) // 2] ^= 1
        return [bytes(whole)]
    return body


server = make_server("127.0.0.1", 0, application, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
