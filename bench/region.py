"""An idle region's memory and start, 11,000 agencies, and what they cost the gateway."""

import statistics
import tempfile
import time
from pathlib import Path

from tests.live import LiveRegion

from bench.common import Report, arguments
from bench.gateway import measure_ours, ours, stub

AGENCIES = 11_000


def rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024


def starts(n: int) -> tuple[float, float]:
    """The median seconds from the process to ready, and its resident memory in MB."""
    samples, memory = [], 0.0
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home)).start()  # makes its keys, its CA and its database
        for _ in range(n):
            region.stop()
            started = time.perf_counter()
            region.start()
            samples.append(time.perf_counter() - started)
        assert region.process is not None
        region.client("sts").get_caller_identity()
        memory = rss_mb(region.process.pid)
        region.stop()
    return statistics.median(samples), memory


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--agencies", type=int, default=AGENCIES)
    chosen = parser.parse_args()
    report = Report("bench.region")
    ready, memory = starts(5)
    report.add("start to ready", ready, "s", target=3, n=5)
    report.add("idle region without an engine", memory, "MB RSS", target=250)
    with stub(0) as engine, ours(engine) as region:
        before = measure_ours(region, 3.0)[8]
        started = time.perf_counter()
        region.control.post(
            "/agencies-many", {"names": [f"agency-{n}" for n in range(chosen.agencies)]}
        )
        took = time.perf_counter() - started
        report.add(f"{chosen.agencies} agencies created", took, "s", target=60)
        after = measure_ours(region, 3.0)[8]
        ratio = after["per_s"] / before["per_s"]
        report.add("req/s with them / without", ratio, "x", target=0.95, bound=">=")
    report.print(chosen.json)


if __name__ == "__main__":
    main()
