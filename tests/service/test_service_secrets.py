"""What must not be in the evidence, sent through a live region: bodies, prompts, signatures and
secrets are looked for in its audit log and in its own log."""

import base64
import contextlib
import json
import socket
import ssl
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from botocore.exceptions import ClientError
from tests.gate_live import Side
from tests.golden.test_golden_authz import operators_router
from tests.live import LiveRegion
from tests.officers_live import Desk
from tests.service.test_service_slice import IMAGE
from tests.transfer_kit import gate_of
from tests.waiting import wait_for

from bastide.cli.control import CommandFailed

CANARY = "canary-b4f1"
ENDED = {"Completed", "Failed", "Stopped"}
SMOL = "bastide.smollm2-135m-instruct-v1:0"


@pytest.fixture(scope="module")
def worked(tmp_path_factory, new_toml):
    """A region where an agency has worked, all of it with the canary inside."""
    live = LiveRegion(tmp_path_factory.mktemp("secretive"), toml=new_toml()).start()
    try:
        live.cli("env", "build", "sklearn")
        live.cli("models", "pull", "smollm2-135m")
        live.s3("secretive", "secretive")
        contents(live, live.account("secretive")["role_arn"])
        yield live
    finally:
        live.stop()


@pytest.fixture
def site(worked):
    """The same, running: the last thing that an operator asks of it is to stop."""
    if worked.process.poll() is not None:
        worked.start()
    return worked


def contents(site, role):
    """Bodies, prompts, lines and settings, each with the canary in it."""
    s3 = site.client("s3", "secretive")
    s3.put_object(Bucket="secretive", Key="k", Body=CANARY, Metadata={"word": CANARY})
    s3.get_object(Bucket="secretive", Key="k")["Body"].read()
    talk = site.client("bedrock-runtime", "secretive", read_timeout=120)
    turn = {"role": "user", "content": [{"text": f"Say {CANARY}."}]}
    talk.converse(
        modelId=SMOL, messages=[turn], system=[{"text": CANARY}], inferenceConfig={"maxTokens": 2}
    )
    with contextlib.suppress(ClientError):  # a failure must not tell either
        talk.converse(modelId=CANARY[:6], messages=[turn])
    with contextlib.suppress(ClientError):
        site.client("sagemaker-runtime", "secretive").invoke_endpoint(
            EndpointName="none", Body=CANARY, CustomAttributes=CANARY
        )
    logs = site.client("logs", "secretive")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    now = int(s3.head_object(Bucket="secretive", Key="k")["LastModified"].timestamp() * 1000)
    logs.put_log_events(
        logGroupName="g", logStreamName="s", logEvents=[{"timestamp": now, "message": CANARY}]
    )
    sagemaker = site.client("sagemaker", "secretive")
    sagemaker.create_training_job(
        TrainingJobName="secretive",
        RoleArn=role,
        AlgorithmSpecification={
            "TrainingImage": IMAGE, "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", "echo $WORD; exit 3"],
            "ContainerArguments": [CANARY],
        },
        HyperParameters={"password": CANARY},
        Environment={"WORD": CANARY},
        OutputDataConfig={"S3OutputPath": "s3://secretive/out"},
        ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )  # fmt: skip
    ended = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName="secretive"),
        "TrainingJobStatus",
        ENDED,
    )
    assert ended["TrainingJobStatus"] == "Failed"


def credentials(site):
    """Every secret that the region handed out or was shown."""
    env, account = site.agency("secretive"), site.account("secretive")["account_id"]
    iam, sts = site.client("iam", "secretive"), site.client("sts", "secretive")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": account}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    session = sts.assume_role(RoleArn=role, RoleSessionName="ss")["Credentials"]
    token = sts.get_session_token()["Credentials"]
    s3 = site.client("s3", "secretive", signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "secretive", "Key": "k"})
    (signature,) = parse_qs(urlsplit(url).query)["X-Amz-Signature"]
    trusted = ssl.create_default_context(cafile=env["AWS_CA_BUNDLE"])
    assert urllib.request.urlopen(url, context=trusted).read() == CANARY.encode()
    for headers in ({"Authorization": f"Bearer {CANARY}"}, {"X-Amz-Security-Token": CANARY}):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=trusted)
    return [
        env["AWS_SECRET_ACCESS_KEY"],
        env["AWS_BEARER_TOKEN_BEDROCK"],
        key["SecretAccessKey"],
        session["SecretAccessKey"],
        session["SessionToken"],
        token["SessionToken"],
        signature,
    ]


def test_no_content_and_no_secret_is_in_the_evidence(site):
    secrets = [CANARY, base64.b64encode(CANARY.encode()).decode(), *credentials(site)]
    shown = site.cli("audit", "show", "--last", "100000", "--json").stdout
    for operation in ("s3.PutObject", "bedrock-runtime.Converse", "sagemaker.CreateTrainingJob"):
        assert operation in shown, "the log is the one that was written to"
    log = (site.folder / "region.log").read_text()
    for secret in secrets:
        assert secret not in shown, secret[:6]
        assert secret not in json.dumps(log), secret[:6]


WHERE = {"officer": ""}
WHO = {**WHERE, "who": "user/administrator"}
POLICY = 'forbid (principal, action, resource) when { context.operation == "s3:PutObjectAcl" };'
ALLOWING = {"name": "own.cedar", "text": "permit (principal, action, resource);", "cases": []}
WHY = {"principal": "user/administrator", "action": "s3:GetObject"}
MODEL = {"file": "/dev/null", "model_id": "m", "sha256": "", "licence": "", "label": ""}
OBJECT = {"bucket": "secretive", "key": "k", "version": "", "from": "U", "to": "U", **WHERE}
BUNDLE = {
    "to": "us-iso-east-1", "agency": "secretive", "bucket": "secretive", "prefix": "",
    "model": "", "environment": "", "agency_setup": "", "base": "",
}  # fmt: skip
SHARE = {"bucket": "secretive", "reader": "other", "prefix": "", "label": "U", **WHERE}
UDP = {"udp": "{udp}", "rate_mbit": 80, "parity": 8, "passes": 1}
# All that operators may ask, in this order, with what an operator who looks for content would send.
ROUTES = {
    "GET /status": None,
    "GET /dns": None,
    "GET /agencies": None,
    "POST /agencies": {"name": "other", "account_id": None},
    "POST /agencies-many": {"names": ["more"]},
    "POST /agencies/{name}/client-env": {"keys": True, "bearer": True, **WHERE},
    "GET /agencies/{name}/label": None,
    "POST /agencies/{name}/label": {"label": "U", **WHERE},
    "GET /rules": None,
    "POST /rules-adopt": {"rules": "{}", **WHERE},
    "POST /labels-adopt": {"scheme": "", "default_label": "U", "ceiling": "U", **WHERE},
    "GET /keys": None,
    "POST /keys-all/rotate": {},
    "POST /keys/{agency}/rotate": {"label": None},
    "POST /keys/{agency}/destroy": {"label": None, "confirm": "", **WHERE},
    "GET /environments": None,
    "POST /environments/{name}/build": {},
    "POST /environments-import": {"tar": "/dev/null", "name": "n"},
    "GET /models": None,
    "POST /models/{name}/pull": {},
    "POST /models-add": {**MODEL, "context_tokens": 1},
    "POST /models-alias": {"alias": "a", "model": "m"},
    "GET /labels/{agency}": None,
    "POST /labels/{agency}/lower": OBJECT,
    "GET /approvals": None,
    "GET /approvals/{id}": None,
    "POST /approvals-sign": {"statement": {}, "signature": ""},
    "GET /officers": None,
    "POST /officers": {"name": "x", "roles": [], "public_key": "", "known_as": [], **WHERE},
    "POST /officers/{name}/suspend": {},
    "POST /officers/{name}/reinstate": WHERE,
    "GET /shares/{agency}": None,
    "POST /shares/{agency}/grant": SHARE,
    "POST /shares/{agency}/revoke": {"alias": "none"},
    "GET /clearances/{agency}": None,
    "POST /clearances/{agency}/grant": {**WHO, "label": "U"},
    "POST /clearances/{agency}/revoke": {"who": "user/administrator"},
    "GET /duties/{agency}": None,
    "POST /duties/{agency}/grant": {**WHO, "who": "user/u", "duty": "auditor"},
    "POST /duties/{agency}/remove": WHO,
    "POST /policies/{agency}/put": {"name": "own.cedar", "text": POLICY},
    "GET /policies/{agency}": None,
    "POST /policies/{agency}/test": ALLOWING,
    "POST /policies/{agency}/why": {**WHY, "resource": "arn:aws-us-gov:s3:::secretive/k"},
    "POST /policies/{agency}/remove": {"name": "own.cedar"},
    "POST /transfers": BUNDLE,
    "GET /transfers": None,
    "POST /transfers/{name}/inspect": {},
    "POST /transfers/{name}/filter": {},
    "POST /transfers/{name}/items/{number}": {},
    "POST /transfers/{name}/statement": {},
    "POST /transfers/{name}/send": {"spool": "{spool}"},
    "POST /transfers/{name}/send-udp": UDP,
    "POST /transfers/{name}/release": {"agency": "secretive", "bucket": "secretive", "prefix": ""},
    "POST /transfers-receive": {"spool": "{spool}"},
    "GET /transfers-anchor": None,
    "POST /transfers-trust": {"anchor": ""},
    "POST /trails-deliver": {"account": ""},
    "POST /audit-retire": {"before": None, "up_to": 0, **WHERE},
    "POST /digest-key-rotate": WHERE,
    "GET /receipts/{id}": None,
    "POST /stop": {},
}


class Operator:
    """Asks each route of the socket, and keeps what it was told."""

    def __init__(self, site, spool, udp):
        self.site, self.ways = site, {"{spool}": str(spool), "{udp}": udp}
        self.names = {"agency": "secretive", "name": "secretive", "number": "0", "id": "none"}
        self.told = {}

    def ask(self, route, body):
        if "/transfers" in route and (made := self.told.get("POST /transfers")):
            self.names["name"] = json.loads(made)[-1]["result"]["bundle"]
        method, path = route.format(**self.names).split(" ")
        body = body and {k: self.ways.get(str(v), v) for k, v in body.items()}
        control = self.site.control
        try:
            answer = control.get(path) if method == "GET" else self._lines(path, body)
        except CommandFailed as error:
            answer = {"failed": str(error)}
        self.told[route] = json.dumps(answer)

    def _lines(self, path, body):
        """All that is answered: the steps of long work, or one line."""
        with self.site.control._sent("POST", path, body or {}) as response:
            lines = [json.loads(line) for line in response.read().splitlines()]
        if failed := [line["error"] for line in lines if "error" in line]:
            raise CommandFailed(*failed)
        return lines


def test_no_route_of_the_operators_gives_content_or_the_keys_to_it(site, tmp_path):
    found = {
        f"{each.method} {each.resource.canonical}"
        for each in operators_router().routes()
        if each.method != "HEAD"
    }
    assert found == set(ROUTES), "a new route is asked here too"
    desk = Desk(site, tmp_path / "officers")
    desk.enrol("olga", "security-officer")
    desk.enrol("oscar", "security-officer")
    env = site.agency("secretive")
    secrets = [env["AWS_SECRET_ACCESS_KEY"], env["AWS_BEARER_TOKEN_BEDROCK"]]
    secrets += [CANARY, base64.b64encode(CANARY.encode()).decode()]
    neighbour = gate_of(tmp_path / "neighbour", BUNDLE["to"], "S")
    Side(site, desk).trust_anchor(msgspec.to_builtins(neighbour.anchor()), ("olga", "oscar"))
    spool = tmp_path / "spool"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.setblocking(False)
        operator = Operator(site, spool, f"127.0.0.1:{wire.getsockname()[1]}")
        for route, body in ROUTES.items():
            operator.ask(route, body)
        with pytest.raises(BlockingIOError):
            wire.recv(1)
    assert list(spool.rglob("*")) == [], "nobody takes an agency's objects out alone"
    for each in ("send", "send-udp"):
        assert "asked for" in operator.told[f"POST /transfers/{{name}}/{each}"]
    site.process.wait(60)
    for route, told in operator.told.items():
        assert not any(secret in told for secret in secrets), route
    refused = {route for route, told in operator.told.items() if "failed" in told}
    for each in ("client-env", "items/{number}", "keys/{agency}/destroy", "duties/{agency}/grant"):
        assert any(each in route for route in refused), each
    assert "not done by one person" in operator.told["POST /agencies/{name}/client-env"]
    for each in ("GET /keys", "POST /transfers", "POST /transfers/{name}/inspect", "GET /models"):
        assert each not in refused, operator.told[each]
