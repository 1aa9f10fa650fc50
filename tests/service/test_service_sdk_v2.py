"""The SageMaker Python SDK v2, unchanged, in its own venv, by AWS_ENDPOINT_URL."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.clients import client_python

PROGRAM = Path(__file__).with_name("sdk_v2_program.py")


@pytest.mark.slow  # it asks for news every 5 to 30 s
@pytest.mark.parametrize("step", ["sklearn", "xgboost"])
def test_the_sdks_frameworks_train_deploy_and_predict(trained_region, tmp_path, step):
    role = trained_region.account("demo")["role_arn"]
    done = subprocess.run(
        [client_python("sagemaker-v2"), PROGRAM, tmp_path, step, role],
        env={**trained_region.agency("demo"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    assert facts
    assert all(facts.values()), facts
