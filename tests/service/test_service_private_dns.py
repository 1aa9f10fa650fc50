"""The private-DNS mode: AWS's own names lead to the region, and no client is told anything else."""

import os
import re
import subprocess
import sys

import pytest
from tests.live import ROOT


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="port 443 and namespaces need root")
def test_the_sagemaker_sdk_with_no_endpoint_setting(trained_region, tmp_path):
    inside = [sys.executable, "-m", "tests.service.private_dns", tmp_path]
    done = subprocess.run(
        ["unshare", "--mount", "--net", *inside],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "/output/model.tar.gz" in done.stdout
    assert re.search(r"^MODELS [1-9]", done.stdout, re.MULTILINE)
