"""The verifier needs none of the server's code: an assessor reads and runs this much only."""

import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[3] / "src"
ALLOWED = ("bastide", "bastide.evidence", "bastide.evidence.stored", "bastide.evidence.verify",
           "bastide.evidence.show", "bastide.evidence.receipts", "bastide.evidence.retired",
           "bastide.evidence.rows",
           "bastide.kernel", "bastide.kernel.approvals", "bastide.kernel.errors",
           "bastide.kernel.merkle", "bastide.kernel.notes", "bastide.kernel.receipts",
           "bastide.kernel.retirement")  # fmt: skip


def test_the_verifier_imports_only_the_kernel():
    program = (
        "import sys, bastide.evidence.verify, bastide.evidence.show, bastide.evidence.receipts\n"
        "print(*(n for n in sys.modules if n.partition('.')[0] in "
        "('bastide', 'sqlalchemy', 'psycopg', 'msgspec', 'botocore')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(ran.stdout.split()) == sorted(ALLOWED)
