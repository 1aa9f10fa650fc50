"""Run by its test in network and mount namespaces of its own: a region on port 443 under AWS's own
names, and a client that has no endpoint setting at all. Prints what the client printed."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from tests.clients import client_python
from tests.live import NAME, LiveRegion

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CLIENT = f"""
import boto3, sagemaker
from sagemaker.estimator import Estimator
session = sagemaker.Session()  # asks STS at AWS's own address, whatever is set
bucket = session.default_bucket()
role = boto3.client("iam").list_roles()["Roles"][0]["Arn"]
boto3.client("s3").put_object(Bucket=bucket, Key="in/x.txt", Body=b"x")  # virtual-host style
image = sagemaker.image_uris.retrieve("sklearn", "{NAME}", "1.2-1")
job = Estimator(
    image, role, 1, "ml.m5.large", sagemaker_session=session, disable_profiler=True,
    container_entry_point=["/bin/sh", "-c", "cp -r /opt/ml/input/data/a/x.txt /opt/ml/model/"],
)
job.fit({{"a": f"s3://{{bucket}}/in/"}}, logs=False)
print("MODEL", job.model_data)
text = boto3.client("bedrock").list_foundation_models(byOutputModality="TEXT")
print("MODELS", len(text["modelSummaries"]))
"""


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def main(home: Path) -> None:
    raise_loopback()
    live = LiveRegion(home, toml=f"[regions.{NAME}]\nport = 443\n").start()
    account = live.account("demo")["account_id"]
    lines = live.cli("client-env", "--agency", "demo", "--dns").stdout.splitlines()
    hosts = home / "hosts"
    bucket = f"127.0.0.1 sagemaker-{NAME}-{account}.s3.{NAME}.amazonaws.com"
    hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, bucket, ""]))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    said = live.agency("demo")
    kept = {name: value for name, value in said.items() if name != "AWS_ENDPOINT_URL"}
    kept.pop("AWS_BEARER_TOKEN_BEDROCK")
    done = subprocess.run(
        [client_python("sagemaker-v2"), "-W", "ignore", "-c", CLIENT],
        env={**kept, "PATH": os.defpath, "HOME": str(home)}, timeout=240,
    )  # fmt: skip
    live.stop()
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
