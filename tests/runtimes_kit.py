"""Agents for AgentCore Runtime: their ZIPs, and a live region that runs them."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SeededIds
from bastide.runtimes.book import Book
from bastide.runtimes.code import Code
from bastide.runtimes.endpoints import RuntimeEndpoints
from bastide.runtimes.invocations import RuntimeInvocations
from bastide.runtimes.kind import SessionKind
from bastide.runtimes.runtimes import AgentRuntimes
from bastide.runtimes.sessions import Sessions
from bastide.runtimes.tags import RuntimeTags
from tests.agents_kit import Documents, Passed, Permitted
from tests.labels_kit import marks
from tests.sagefakes import ONE, REGION, ROLE, FakeJobs, call
from tests.stores import FakeKeyring

SESSION = "session-" + "0" * 32
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "bedrock-agentcore.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
}  # fmt: skip
# An agent in plain Python: what it is asked to do is in the payload.
PLAIN = """
import http.server, json, os, signal, sys
from helper import doings

class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, {"status": "Healthy"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["do"] == "stream":
            return self.stream(asked["parts"])
        try:
            said = doings.DOINGS[asked["do"]](asked, self.headers)
        except Exception as error:
            print("it failed:", repr(error), flush=True)
            return self.answer(500, {"error": repr(error)})
        self.answer(200, {"said": said})

    def stream(self, parts):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            data = f"data: {json.dumps(part)}\\n\\n".encode()
            self.wfile.write(f"{len(data):x}\\r\\n".encode() + data + b"\\r\\n")
            self.wfile.flush()
        self.wfile.write(b"0\\r\\n\\r\\n")

    def answer(self, status, members):
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

print("the agent begins", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Agent).serve_forever()
"""
DOINGS = '''
import json, os, socket, signal, urllib.request

counts = {"calls": 0}

def count(asked, headers):
    counts["calls"] += 1
    open("/mnt/session/count", "a").write("x")
    return [counts["calls"], len(open("/mnt/session/count").read())]

def environ(asked, headers):
    return {name: os.environ.get(name) for name in asked["names"]}

def heads(asked, headers):
    return {name.lower(): value for name, value in headers.items()}

def die(asked, headers):
    os.kill(os.getpid(), signal.SIGKILL)

def fail(asked, headers):
    raise ValueError("on purpose")

def fetch(asked, headers):
    """One HTTP request at the loopback."""
    request = urllib.request.Request(asked["url"], headers=asked.get("headers", {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]

def connect(asked, headers):
    """What becomes of connections."""
    found = []
    for where in asked["to"]:
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        with socket.socket(family) as client:
            client.settimeout(2)
            try:
                client.connect(where if isinstance(where, str) else tuple(where))
                found.append("connected")
            except OSError as error:
                found.append(type(error).__name__)
    return found

held = []

def hold(asked, headers):
    """Connections that say nothing."""
    for _ in range(asked["count"]):
        client = socket.socket()
        client.settimeout(0.2)
        try:
            client.connect(("127.0.0.1", 9001))
        except OSError:
            return len(held)
        held.append(client)
    return len(held)

def call(asked, headers):
    """One call by boto3, with the keys that it finds by itself, or with given ones."""
    import boto3
    from botocore.config import Config
    client = boto3.client(
        asked["service"], config=Config(retries={"max_attempts": 1}), **asked.get("with", {})
    )
    answer = getattr(client, asked["operation"])(**asked.get("params", {}))
    answer.pop("ResponseMetadata")
    if "Body" in answer:
        answer["Body"] = answer["Body"].read().decode()
    return json.loads(json.dumps(answer, default=str))

DOINGS = {
    f.__name__: f for f in (count, environ, heads, die, fail, fetch, connect, hold, call)
}
'''
# An agent as its makers' documents have it, with AWS's own SDK around it.
STRANDS = """
import os

from bedrock_agentcore import BedrockAgentCoreApp
from strands import Agent
from strands.models import BedrockModel

app = BedrockAgentCoreApp()
model = BedrockModel(
    model_id=os.environ["MODEL_ID"], max_tokens=48, temperature=0.0, stop_sequences=["."]
)
agent = Agent(model=model, callback_handler=None)


async def streamed(prompt):
    async for event in agent.stream_async(prompt):
        if "data" in event:
            yield event["data"]


@app.entrypoint
async def invoke(payload):
    if payload.get("stream"):
        return streamed(payload["prompt"])
    return {"said": str(agent(payload["prompt"])).strip(), "turns": len(agent.messages)}


if __name__ == "__main__":
    app.run()
"""


def packed(files, folders=()):
    """A ZIP of `files`: names to text or bytes, or folders on the disk that are put in whole."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, str(path.relative_to(folder)))
    return made.getvalue()


def plain_agent(folders=()):
    files = {
        "main.py": PLAIN, "helper/__init__.py": "", "helper/doings.py": DOINGS,
        "talks.py": STRANDS,
    }  # fmt: skip
    return packed(files, folders)


class Agency:
    """An agency of a live region that makes runtimes and asks them."""

    def __init__(self, live, name="demo"):
        self.live, self.name = live, name
        self.account = live.account(name)["account_id"]
        self.bucket = f"agents-{self.account}"
        self.s3 = live.s3(self.bucket, name)
        self.begin()

    def begin(self):
        """At the address that the region has now."""
        self.control = self.live.client("bedrock-agentcore-control", self.name)
        self.data = self.live.client("bedrock-agentcore", self.name, read_timeout=300)
        return self

    def role(self, name, *actions):
        """A role that agents may work as, allowed these actions."""
        iam = self.live.client("iam", self.name)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        allowed = {"Effect": "Allow", "Action": ["s3:GetObject", *actions], "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [allowed]}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return f"arn:aws-us-gov:iam::{self.account}:role/{name}"

    def put(self, key, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.artifact(key)

    def artifact(self, key, entry="main.py", runtime="PYTHON_3_11"):
        place = {"bucket": self.bucket, "prefix": key}
        code = {"code": {"s3": place}, "runtime": runtime, "entryPoint": [entry]}
        return {"codeConfiguration": code}

    def make(self, name, role, artifact, **more):
        return self.control.create_agent_runtime(
            agentRuntimeName=name, agentRuntimeArtifact=artifact, roleArn=role,
            networkConfiguration={"networkMode": "PUBLIC"}, **more,
        )  # fmt: skip

    def ask(self, arn, session=SESSION, data=None, **asked):
        return self.asked(arn, session, data, **asked)["said"]

    def asked(self, arn, session=SESSION, data=None, **asked):
        answer = (data or self.data).invoke_agent_runtime(
            agentRuntimeArn=arn, runtimeSessionId=session, payload=json.dumps(asked).encode()
        )
        return json.loads(answer["response"].read())


@dataclass(frozen=True)
class Found:
    size: int
    version_id: str = "v-1"


@dataclass
class Stored(Documents):
    """Read like the store's: what is not read to its end is closed."""

    versions: list = field(default_factory=list)  # that were asked for

    def open(self, who, bucket, key, version_id=None):
        self.versions.append(version_id)
        info, pieces = super().open(who, bucket, key)
        return Found(info.size), (piece for piece in pieces)


@dataclass
class FakeKeys:
    """`runtimes.ports.Keys`."""

    issued: list = field(default_factory=list)
    refuses: Exception | None = None

    def issue(self, account, role_arn, service, marking, name):
        self.issued.append((account, role_arn, marking, name))
        if self.refuses:
            raise self.refuses
        return {"AccessKeyId": f"ASIA{len(self.issued)}"}


@dataclass
class FakeDoors:
    """`runtimes.ports.Doors`: path → who may come in, and what the door itself answers."""

    open_now: dict = field(default_factory=dict)

    def open(self, path, whose, own):
        self.open_now[path] = (whose, own)

    def close(self, path):
        self.open_now.pop(path, None)


class Said:
    """An answer of a process."""

    def __init__(self, status, pieces, kind="application/json"):
        self.status, self.headers, self.closed = status, {"content-type": kind}, False
        self._pieces = pieces

    async def pieces(self):
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self):
        self.closed = True


@dataclass
class FakeReplicas:
    """Processes by their sockets; what each is asked, and says."""

    says: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    async def ask(self, path, asked):
        self.asked.append((path, asked))
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


@dataclass(frozen=True)
class OwnPython:
    runtime: str = "PYTHON_3_11"
    python: str = "/usr/bin/python3.11"
    binds: tuple = ()


class Desk:
    """All of runtimes over one database. `desk.do("create_agent_runtime", …)` as `who`."""

    def __init__(self, database, folder):
        self.database, self.clock = database, ManualClock()
        self.roles, self.permits, self.objects = Passed(), Permitted(), Stored()
        self.jobs = FakeJobs(clock=self.clock, database=database)
        self.keys, self.doors, self.replicas = FakeKeys(), FakeDoors(), FakeReplicas()
        self.book = book = Book(
            database=database, marks=marks(database), clock=self.clock, ids=SeededIds(1),
            sealer=FakeKeyring(),
        )  # fmt: skip
        self.code = code = Code(
            region=REGION, permits=self.permits, objects=self.objects, folder=folder
        )
        self.logs = []
        self.sessions = Sessions(
            book=book, jobs=self.jobs, roles=self.roles, keys=self.keys, doors=self.doors,
            doors_at=folder / "doors",
        )  # fmt: skip
        self.kind = SessionKind(
            region=REGION, book=book, roles=self.roles, code=code, interpreter=OwnPython(),
            logs=self, doors=folder / "doors", on_busy=self.sessions.touch,
        )  # fmt: skip
        self.parts = [
            AgentRuntimes(
                book=book, roles=self.roles, code=code, interpreter=OwnPython(),
                sessions=self.sessions,
            ),
            RuntimeEndpoints(book=book, sessions=self.sessions),
            RuntimeTags(book=book),
            RuntimeInvocations(book=book, sessions=self.sessions, replicas=self.replicas),
        ]  # fmt: skip
        self.objects.held["code", "agent.zip"] = packed({"main.py": "print()", "lib/x.py": ""})

    def put(self, account, marking, group, stream, events, beside):
        self.logs += [(account, marking, group, text) for _, text in events]

    def do(self, name, who=None, /, **req):
        part = next(part for part in self.parts if hasattr(part, name))
        return getattr(part, name)(who or caller(name), req)

    def make(self, name="agent", who=None, **more):
        return self.do("create_agent_runtime", who, **{**asked_for(name), **more})

    async def ask(self, arn, session=SESSION, who=None, says=None, **more):
        """What comes back, and its notes' label; the process is ready at once."""
        who = who or caller("InvokeAgentRuntime")
        self.replicas.says.append(says or Said(200, [b"{}"]))
        req = {"agentRuntimeArn": arn, "runtimeSessionId": session, "payload": b"{}", **more}
        self.jobs.where = Ready(self.jobs)
        answer = await self.do("invoke_agent_runtime", who, **req)
        return b"".join([piece async for piece in answer["response"]])


class Ready(dict):
    """Every job that lives has a socket of its own."""

    def __init__(self, jobs):
        self.jobs = jobs

    def get(self, job_id, default=()):
        return [Path(f"/sockets/{job_id}")] if job_id in self.jobs.jobs else default


def asked_for(name="agent", **more):
    code = {"code": {"s3": {"bucket": "code", "prefix": "agent.zip"}}, "runtime": "PYTHON_3_11",
            "entryPoint": ["main.py"]}  # fmt: skip
    return {
        "agentRuntimeName": name, "agentRuntimeArtifact": {"codeConfiguration": code},
        "roleArn": ROLE, "networkConfiguration": {"networkMode": "PUBLIC"}, **more,
    }  # fmt: skip


def caller(name="x", account=ONE, marking="U"):
    return call(f"bedrock-agentcore-control.{name}", account, marking)
