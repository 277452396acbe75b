"""A client that shares no code with usher: stock grpcio, stubs generated from proto/, stock limits.

Usage: client.py ADDRESS PROTO_DIRECTORY, with a server token in USHER_TOKEN. Calls every RPC of every
service once at least, checks the answers, and ends with 0.
"""

import contextlib
import gzip
import hashlib
import importlib
import json
import os
import pathlib
import queue
import sys
import tempfile

import grpc
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

SERVICES = ["app", "content", "task", "token", "user"]
TIMEOUT = 20
MISSING_TASK = "00000000-0000-7000-8000-000000000000"


def generate(protos: pathlib.Path, out: pathlib.Path) -> None:
    """Makes stubs as a user of the protos would."""
    here = pathlib.Path(__file__).parent
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    files = sorted(str(file.relative_to(protos)) for file in protos.glob("usher/v1/*.proto"))
    include = [f"-I{protos}", f"-I{here}", f"-I{well_known}"]
    outputs = [f"--python_out={out}", f"--grpc_python_out={out}"]
    failed = protoc.main(["protoc", *include, *outputs, *files, "details.proto"])
    assert failed == 0, "the protos compile"


class Usher:
    """Typed stubs that send the token, and remember what was called."""

    def __init__(self, channel: grpc.Channel, token: str | None):
        self.channel = channel
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        self.called: set[str] = set()

    def call(self, service: str, rpc: str, request, timeout: float = TIMEOUT):
        """Calls by name; `request` is a dict, a message, or an iterator of messages."""
        pb2, stub = module(service, ""), getattr(module(service, "_grpc"), f"{service.title()}ServiceStub")
        if isinstance(request, dict):
            request = json_format.ParseDict(request, getattr(pb2, f"{rpc}Request")())
        self.called.add(f"usher.v1.{service.title()}Service/{rpc}")
        return getattr(stub(self.channel), rpc)(request, metadata=self.metadata, timeout=timeout)


def module(service: str, suffix: str):
    return importlib.import_module(f"usher.v1.{service}_service_pb2{suffix}")


@contextlib.contextmanager
def refused(code: grpc.StatusCode, reason: str, fields: list[str] | None = None):
    """The call within fails like this, and says so in the standard details."""
    from details_pb2 import BadRequest, ErrorInfo, Status

    try:
        yield
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        trailers = dict(error.trailing_metadata())
        status = Status.FromString(trailers["grpc-status-details-bin"])
        assert status.code == code.value[0], "the code in the details is the code of the call"
        info, bad = ErrorInfo(), BadRequest()
        assert any(detail.Unpack(info) for detail in status.details)
        any(detail.Unpack(bad) for detail in status.details)
        assert (info.domain, info.reason) == ("usher", reason), info
        if fields is not None:
            assert [violation.field for violation in bad.field_violations] == fields, bad
    else:
        raise AssertionError(f"should be refused with {code} {reason}")


def users(usher: Usher) -> None:
    people = [{"id": f"py-{number}", "name": f"Name {number}", "custom": {"n": number}} for number in range(5)]
    stored = usher.call("user", "UpsertUsers", {"users": people}).users
    assert [user.id for user in stored] == [person["id"] for person in people]
    assert stored[3].custom["n"] == 3.0 and stored[0].version == 1

    got = usher.call("user", "GetUsers", {"userIds": ["py-4", "nobody", "py-0"]})
    assert [user.id for user in got.users] == ["py-4", "py-0"] and list(got.missing_ids) == ["nobody"]

    query = {"filter": {"custom.n": {"$gte": 1}}, "sort": [{"field": "id"}], "limit": 2, "withTotal": True}
    seen, token = [], ""
    while True:
        page = usher.call("user", "QueryUsers", {**query, "pageToken": token})
        assert page.total == 4
        seen += [user.id for user in page.users]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["py-1", "py-2", "py-3", "py-4"], seen

    streamed = [user.id for answer in usher.call("user", "StreamUsers", {"filter": query["filter"], "sort": query["sort"]})
                for user in answer.users]
    assert streamed == seen, streamed

    patch = {"id": "py-4", "set": {"color": "blue", "address.city": "London"}, "unset": ["name"]}
    (patched,) = usher.call("user", "UpdateUsersPartial", {"users": [patch]}).users
    assert (patched.name, patched.custom["color"], patched.custom["n"]) == ("", "blue", 4.0), patched
    assert patched.custom["address"]["city"] == "London", patched
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["users[0].set.address..city"]):
        usher.call("user", "UpdateUsersPartial", {"users": [{"id": "py-4", "set": {"address..city": "x"}}]})

    off = usher.call("user", "DeactivateUser", {"userId": "py-0", "reason": "a test"}).user
    assert off.HasField("deactivated_at") and off.version == 2
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "USER_DEACTIVATED"):
        usher.call("user", "DeactivateUser", {"userId": "py-0"})
    on = usher.call("user", "ReactivateUser", {"userId": "py-0", "name": "New"}).user
    assert not on.HasField("deactivated_at") and on.name == "New"

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["users[0].id", "users[1].name"]):
        usher.call("user", "UpsertUsers", {"users": [{"id": "a b"}, {"id": "py-x", "name": "\0"}]})
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "FILTER_INVALID"):
        usher.call("user", "QueryUsers", {"filter": {"id": {"$regex": "."}}})


def large(usher: Usher) -> None:
    """Answers fit a stock client, whose limit is 4 MiB."""
    text = "x" * 4900
    for start in range(0, 1000, 250):
        people = [{"id": f"large-{number:04}", "custom": {"t": text}} for number in range(start, start + 250)]
        usher.call("user", "UpsertUsers", {"users": people})
    seen, token = 0, ""
    while True:
        page = usher.call("user", "QueryUsers", {"filter": {"id": {"$gt": "large"}}, "limit": 1000, "pageToken": token,
                                                 "idGte": "large-", "idLt": "large."})
        seen += len(page.users)
        token = page.next_page_token
        if not token:
            break
    assert seen == 1000, seen
    # A stock client drops trailers beyond 8 KiB; refusals stay below.
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        usher.call("user", "UpsertUsers", {"users": [{"id": "no id " * 40 + str(number)} for number in range(500)]})


def tasks(usher: Usher) -> None:
    ids = [f"py-{number}" for number in range(5)] + ["nobody"]
    task = usher.call("user", "DeactivateUsers", {"userIds": ids, "requestId": "python"}).task
    again = usher.call("user", "DeactivateUsers", {"userIds": ids, "requestId": "python"}).task
    assert again.task_id == task.task_id

    states = [answer.task for answer in usher.call("task", "WatchTask", {"taskId": task.task_id})]
    revisions = [state.revision for state in states]
    assert revisions == sorted(set(revisions)), revisions
    last = states[-1]
    assert (last.state, last.users_done, last.users_failed) == (3, 6, 1), last
    assert usher.call("task", "GetTask", {"taskId": task.task_id}).task == last
    assert [listed.task_id for listed in usher.call("task", "ListTasks", {"limit": 5}).tasks] == [task.task_id]
    failed = {"taskId": task.task_id, "outcomes": ["ITEM_OUTCOME_FAILED"]}
    items = usher.call("task", "ListTaskItems", failed).items
    assert [(item.index, item.user_id, item.reason) for item in items] == [(5, "nobody", "USER_NOT_FOUND")]
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_FINISHED"):
        usher.call("task", "CancelTask", {"taskId": task.task_id})
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_NOT_FAILED"):
        usher.call("task", "RetryTask", {"taskId": task.task_id})
    preview = usher.call("user", "DeleteUsers", {"userIds": ["py-4", "nobody"], "dryRun": True})
    assert (preview.preview.users, preview.preview.users_failed) == (1, 1) and not preview.HasField("task"), preview
    for rpc in ("DeleteUsers", "RestoreUsers"):
        task = usher.call("user", rpc, {"userIds": ["py-4"]}).task
        last = [answer.task for answer in usher.call("task", "WatchTask", {"taskId": task.task_id})][-1]
        assert (last.state, last.users_done, last.users_failed) == (3, 1, 0), last
        (user,) = usher.call("user", "GetUsers", {"userIds": ["py-4"], "includeDeleted": True}).users
        assert user.HasField("deleted_at") == (rpc == "DeleteUsers"), user
    hard = {"userIds": ["py-4"], "user": "DELETE_MODE_HARD", "messages": "DELETE_MODE_SOFT"}
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["user", "messages", "conversations"]):
        usher.call("user", "DeleteUsers", hard)
    with refused(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND"):
        list(usher.call("task", "WatchTask", {"taskId": MISSING_TASK}))

    back = usher.call("user", "ReactivateUsers", {"userIds": ids[:5]}).task
    assert list(usher.call("task", "WatchTask", {"taskId": back.task_id}))[-1].task.rows_done == 5
    history = usher.call("user", "ListUserHistory", {"userId": "py-0"}).entries
    newest = [(entry.kind, entry.task_id) for entry in history[:2]]
    assert newest == [(2, back.task_id), (1, states[0].task_id)], history


def exports(usher: Usher) -> None:
    answers = usher.call("user", "ExportUser", {"userId": "py-0"})
    records = [json.loads(record) for answer in answers for record in answer.records]
    assert [record["type"] for record in records[:3]] == ["export", "about", "user"], records
    assert records[-1]["type"] == "end" and records[2]["item"]["id"] == "py-0", records
    with refused(grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND"):
        list(usher.call("user", "ExportUser", {"userId": "nobody"}))

    task = usher.call("user", "ExportUsers", {"userIds": ["py-0", "nobody"]}).task
    last = [answer.task for answer in usher.call("task", "WatchTask", {"taskId": task.task_id})][-1]
    assert (last.state, last.users_failed, last.export_users.files) == (3, 1, 1), last
    file = usher.call("task", "ListTaskItems", {"taskId": task.task_id}).items[0].file
    header, *parts = usher.call("task", "DownloadResult", {"taskId": task.task_id, "index": 0})
    archive = b"".join(part.data for part in parts)
    assert (header.header.total_bytes, file.bytes) == (len(archive), len(archive)), header
    assert hashlib.sha256(archive).hexdigest() == header.header.sha256 == file.sha256, header
    lines = gzip.decompress(archive).decode().splitlines()
    assert len(lines) == file.records + 3 and json.loads(lines[-1])["type"] == "end", lines
    half = len(archive) // 2
    rest = list(usher.call("task", "DownloadResult", {"taskId": task.task_id, "index": 0, "offset": half}))[1:]
    assert b"".join(part.data for part in rest) == archive[half:]
    with refused(grpc.StatusCode.NOT_FOUND, "EXPORT_GONE"):
        list(usher.call("task", "DownloadResult", {"taskId": task.task_id, "index": 1}))


def tokens(usher: Usher, address: str) -> None:
    minted = usher.call("token", "CreateUserToken", {"userId": "py-1", "validity": "60s", "claims": {"device": "phone"}})
    verdict = usher.call("token", "VerifyToken", {"token": minted.token})
    assert verdict.valid and verdict.user_id == "py-1" and verdict.claims["device"] == "phone", verdict
    assert verdict.expires_at == minted.expires_at
    junk = usher.call("token", "VerifyToken", {"token": "junk"})
    assert (junk.valid, junk.reason) == (False, "TOKEN_INVALID")

    granting = usher.call("token", "CreateCallToken", {"userId": "py-1", "callCids": ["livestream:final"], "role": "moderator"})
    verdict = usher.call("token", "VerifyToken", {"token": granting.token})
    assert verdict.valid and (verdict.role, list(verdict.call_cids)) == ("moderator", ["livestream:final"]), verdict

    with refused(grpc.StatusCode.NOT_FOUND, "ROLE_NOT_FOUND"):
        usher.call("token", "CreateCallToken", {"userId": "py-1", "callCids": ["a:b"], "role": "superman"})

    with grpc.insecure_channel(address) as channel:
        with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING"):
            Usher(channel, None).call("user", "GetUsers", {"userIds": ["py-1"]})
        itself = Usher(channel, minted.token)
        assert [user.id for user in itself.call("user", "GetUsers", {"userIds": ["py-1"]}).users] == ["py-1"]
        with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
            itself.call("user", "GetUsers", {"userIds": ["py-2"]})

    connected = usher.call("user", "ConnectUser", {"token": granting.token})
    assert connected.user.id == "py-1" and connected.user.online and connected.role == connected.user.role, connected
    call = usher.call("content", "GetCall", {"cid": "livestream:final"}).call
    assert [(member.user_id, member.role) for member in call.members] == [("py-1", "moderator")], call
    assert not usher.call("user", "KeepAlive", {"sessionIds": [connected.session_id]}).ended
    usher.call("user", "DisconnectUser", {"sessionId": connected.session_id})
    (ended,) = usher.call("user", "KeepAlive", {"sessionIds": [connected.session_id]}).ended
    assert ended.reason == "SESSION_ENDED", ended


    guest = usher.call("user", "CreateGuest", {"user": {"name": "Guest"}})
    assert guest.user.role == "guest" and guest.HasField("expires_at"), guest
    verdict = usher.call("token", "VerifyToken", {"token": guest.token})
    assert verdict.valid and verdict.user_id == guest.user.id, verdict


def settings(usher: Usher) -> None:
    app = usher.call("app", "GetApp", {}).app
    assert app.name == "default" and app.settings.token_leeway.seconds == 5, app
    change = {"settings": {"tokenLeeway": "7s"}, "updateMask": "tokenLeeway"}
    assert usher.call("app", "UpdateApp", change).app.settings.token_leeway.seconds == 7


def keys(usher: Usher) -> None:
    created = usher.call("app", "CreateKey", {})
    assert created.key.signing and len(created.secret) >= 32, "a key that signs"
    listed = usher.call("app", "ListKeys", {}).keys
    assert [key.signing for key in listed] == [False, True], listed
    retired = usher.call("app", "RetireKey", {"kid": created.key.kid}).key
    assert retired.HasField("retired_at") and not retired.signing, retired
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "KEY_LAST", ["kid"]):
        usher.call("app", "RetireKey", {"kid": listed[0].kid})


def revocation(usher: Usher) -> None:
    """The last thing done: nobody's token works afterwards, the caller's neither."""
    minted = usher.call("token", "CreateUserToken", {"userId": "py-1"})
    usher.call("token", "RevokeUserTokens", {"userIds": ["py-1"]})
    verdict = usher.call("token", "VerifyToken", {"token": minted.token})
    assert (verdict.valid, verdict.reason) == (False, "TOKEN_REVOKED"), verdict
    usher.call("token", "RevokeAppTokens", {})
    with refused(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED"):
        usher.call("task", "ListTasks", {})


def content(usher: Usher) -> None:
    pb2 = module("content", "")
    steps: queue.Queue = queue.Queue()

    def item(offset: int, item: dict, kind: str = "user"):
        data = json.dumps({"type": kind, "item": item}).encode()
        steps.put(pb2.ImportContentRequest(item=pb2.ImportItem(offset=offset, json=data)))

    start = pb2.ImportStart(import_id="python", mode=pb2.IMPORT_MODE_UPSERT)
    steps.put(pb2.ImportContentRequest(start=start))
    answers = usher.call("content", "ImportContent", iter(steps.get, None))
    assert not next(answers).HasField("committed_offset"), "nothing is committed yet"
    item(0, {"id": "imported", "color": "green"})
    item(1, {"id": "not an id"})
    # Before the channel that it stands in.
    item(2, {"id": "m1", "channel_type": "messaging", "channel_id": "general", "user": "imported", "text": "hi"}, "message")
    item(3, {"type": "messaging", "id": "general", "created_by": "imported"}, "channel")
    # The caller waits for what it sent before it sends more: nothing is held back for want of more.
    accepted, refusals, committed = 0, [], -1
    while committed < 3:
        answer = next(answers)
        accepted, committed = accepted + answer.accepted, answer.committed_offset
        refusals += answer.refused
    steps.put(None)
    for answer in answers:
        accepted += answer.accepted
        refusals += answer.refused
    assert accepted == 3, accepted
    assert [(refusal.offset, refusal.reason, refusal.field) for refusal in refusals] == [(1, "INVALID_FIELD", "id")]

    channel = usher.call("content", "GetChannel", {"cid": "messaging:general"}).channel
    assert channel.cid == "messaging:general", channel
    messages = usher.call("content", "ListMessages", {"cid": "messaging:general"}).messages
    assert [(message.id, message.text) for message in messages] == [("m1", "hi")], messages
    footprint = usher.call("content", "GetFootprint", {"userId": "imported"}).footprint
    assert footprint.messages == 1, footprint


def around(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", *(f"usher.v1.{name.title()}Service" for name in SERVICES)]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    # The stock reflection client speaks v1alpha.
    names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {f"usher.v1.{name.title()}Service" for name in SERVICES} <= set(names), names


def every_rpc() -> set[str]:
    services = [module(name, "").DESCRIPTOR.services_by_name[f"{name.title()}Service"] for name in SERVICES]
    return {f"{service.full_name}/{method.name}" for service in services for method in service.methods}


def compressed(address: str) -> None:
    """Calls over a channel that compresses what it sends, and takes answers that are compressed."""
    with grpc.insecure_channel(address, compression=grpc.Compression.Gzip) as channel:
        usher = Usher(channel, os.environ["USHER_TOKEN"])
        people = [{"id": f"zip-{number}", "name": "x" * 100} for number in range(100)]
        assert len(usher.call("user", "UpsertUsers", {"users": people}).users) == 100
        got = usher.call("user", "GetUsers", {"userIds": [person["id"] for person in people]})
        assert len(got.users) == 100 and got.users[0].name == "x" * 100
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"):
            usher.call("token", "VerifyToken", {"token": "x" * (5 << 20)})


def main() -> None:
    address, protos = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as out, grpc.insecure_channel(address) as channel:
        generate(protos, pathlib.Path(out))
        sys.path.insert(0, out)
        usher = Usher(channel, os.environ["USHER_TOKEN"])
        around(channel)
        compressed(address)
        users(usher)
        tasks(usher)
        exports(usher)
        tokens(usher, address)
        keys(usher)
        settings(usher)
        content(usher)
        large(usher)
        revocation(usher)
        left = every_rpc() - usher.called
        assert not left, f"never called: {sorted(left)}"
        print(f"{len(usher.called)} RPCs called")


if __name__ == "__main__":
    main()
