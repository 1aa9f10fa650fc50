"""Durable events per second of the audit log, and how fast the offline verifier reads them.

Writers are threads that each wait until their record is durable before they bring the next: what
calls of a region do. Beside it, what the disk itself gives: one fdatasync, and as many as fit.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from bastide.audit.log import MerkleLog
from bastide.audit.model import Kind, Record, encode
from bastide.audit.proofs import Proofs
from bastide.audit.signing import load_signer
from bastide.db import Database
from bastide.evidence.receipts import verify_receipt
from bastide.evidence.verify import verify
from bastide.kernel.clock import SystemClock
from bastide.kernel.receipts import Inference
from bench.common import Report, arguments, median_ms, quantile_ms

WRITERS = (1, 8, 32, 100)
GOAL_WRITERS, EVENTS_PER_S, VERIFIED_PER_S = 32, 5_000, 250_000
VERIFIED = 500_000
BEGAN_MS = 1_700_000_000_000
ACCOUNT = "123456789012"


def event(number: int) -> bytes:
    """A record as a call of S3 leaves it: some 400 bytes."""
    return encode(
        Record(
            account=ACCOUNT, time=BEGAN_MS + number, kind=Kind.CALL, id=f"{number:032x}",
            request_id=f"{number:036x}", operation="s3.GetObject", label="U",
            principal=f"arn:aws-us-gov:iam::{ACCOUNT}:user/ann", user_id="AIDAEXAMPLEEXAMPLE",
            access_key="AKIAEXAMPLEEXAMPLE", source_ip="10.0.0.1", user_agent="Boto3/1.43",
            resources={"Bucket": "data", "Key": "a/b/c"}, decision="allow",
        )
    )  # fmt: skip


def appended(log: MerkleLog, number: int) -> "Future[int]":
    return log.append(event(number), account=ACCOUNT, time_ms=BEGAN_MS + number, label="U")


def fdatasync_ms(folder: Path) -> float:
    samples = []
    with (folder / "raw").open("wb") as file:
        for _ in range(100):
            begun = time.perf_counter()
            file.write(bytes(400))
            file.flush()
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - begun)
    return median_ms(samples)


def written(log: MerkleLog, writers: int, seconds: float) -> tuple[float, list[float]]:
    """Durable events per second, and how long each was waited for."""
    stop, samples = threading.Event(), [[] for _ in range(writers)]

    def write(mine: list[float]) -> None:
        number = 0
        while not stop.is_set():
            begun = time.perf_counter()
            appended(log, number).result()
            mine.append(time.perf_counter() - begun)
            number += 1

    threads = [threading.Thread(target=write, args=(mine,)) for mine in samples]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    flat = [each for mine in samples for each in mine]
    return len(flat) / (time.perf_counter() - begun), flat


def filled(log: MerkleLog, count: int) -> None:
    for start in range(0, count, 20_000):
        for number in range(start, min(count, start + 20_000)):
            last = appended(log, number)
        last.result()


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def receipted(log: MerkleLog) -> str:
    """The id of an inference in the midst of the log."""
    said = Inference(
        model="m", model_digest="sha256:00", prompt="hmac-sha256:00", answer="hmac-sha256:00",
        label="U", policy="sha256:00", guardrail="absent", input_tokens=1, output_tokens=1,
        energy_j=1.0, energy="modelled",
    )  # fmt: skip
    common = {"account": ACCOUNT, "time": 0, "id": "the-receipt", "operation": "b.Converse"}
    opened = log.append(encode(Record(kind=Kind.CALL, **common)), account=ACCOUNT).result()
    end = Record(kind=Kind.CLOSED, status=200, opened=opened, inference=said, **common)
    log.append(encode(end), account=ACCOUNT, closes=opened).result()
    return "the-receipt"


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    report = Report("audit")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report.add("one fdatasync of 400 bytes", fdatasync_ms(folder), "ms")
        database = Database(f"sqlite:///{folder}/region.db")
        database.start(create=True)
        signer = load_signer(folder / "audit", "bastide/bench")
        log = MerkleLog(database, signer, SystemClock())
        log.start()
        for writers in WRITERS:
            rate, waits = written(log, writers, options.seconds)
            goal = {"target": EVENTS_PER_S, "bound": ">="} if writers == GOAL_WRITERS else {}
            report.add(f"durable events, {writers} writers", rate, "/s", n=len(waits), **goal)
            report.add(f"  waited for, p50, {writers} writers", quantile_ms(waits, 0.5), "ms")
        known = receipted(log)
        filled(log, max(0, VERIFIED - log.size))
        log.vouch(log.size)
        proofs, key = Proofs(database=database, log=log), signer.verifier.text()
        taken = timed(lambda: proofs.receipt(known))
        report.add(f"a receipt out of {log.size:,} records", taken * 1e3, "ms")
        text = proofs.receipt(known).text().encode()
        assert verify_receipt(text, key).ok
        taken = timed(lambda: [verify_receipt(text, key) for _ in range(100)])
        report.add("  verified", taken * 10, "ms")
        log.close()
        size = log.size
        database.close()
        taken = timed(lambda: verified(folder, key))
        report.add(
            "verified", size / taken, "/s", target=VERIFIED_PER_S, bound=">=", n=size
        )  # fmt: skip
    report.print(options.json)


def verified(folder: Path, key: str) -> None:
    verdict = verify(f"{folder}/region.db", key)
    assert verdict.ok, verdict.text()


if __name__ == "__main__":
    main()
