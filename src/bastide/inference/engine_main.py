"""One model, one process: llama.cpp's server on loopback.

The first line on standard input is the task, with the API key that callers must send: a secret is
never in the arguments or the environment. One JSON line on standard output says where it listens.
It ends when its standard input does, so a control plane that is killed leaves no orphan. OpenMP
must be told to wait passively before the start (reference/models.md, the thread trap).
"""

import json
import os
import resource
import sys
import threading
from typing import Any

HTTP_THREADS_SPARE = 4


def _end_with_parent() -> None:
    """Whatever the main thread is doing: a native call cannot be interrupted otherwise."""
    sys.stdin.read()
    os._exit(0)


def _params(task: dict[str, Any]) -> Any:
    import xllamacpp

    slots, threads = int(task["slots"]), int(task["threads"])
    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.n_ctx = int(task["context_tokens"])
    params.n_parallel = slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [task["api_key"]]
    # Kept-alive connections hold a thread each.
    params.n_threads_http = 2 * slots + HTTP_THREADS_SPARE
    params.use_jinja = True
    params.ui = False
    params.offline = True
    params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    params.fit_params = False  # the context is what was asked for, or an error
    params.ctx_shift = False
    # Prompts stay in their slot: a cache beside the slots would cross agencies and the budget.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = 2  # warnings and errors; requests are not logged
    return params


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # prompts do not go into core files
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import xllamacpp

    server = xllamacpp.Server(_params(task))
    print(json.dumps({"address": server.listening_address, "pid": os.getpid()}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
