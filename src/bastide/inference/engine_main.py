"""One model, one process: llama.cpp's server on a unix socket in a folder of its own.

The first line on standard input is the task, with the API key that callers must send: a secret is
never in the arguments or the environment. One JSON line on standard output says that it listens.
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
SOCKET = "engine.sock"  # llama.cpp takes a host that ends so for a unix socket
FILES_MAX = 1024


def _end_with_parent() -> None:
    """Whatever the main thread is doing: a native call cannot be interrupted otherwise."""
    sys.stdin.read()
    os._exit(0)


def _params(xllamacpp: Any, task: dict[str, Any]) -> Any:
    slots, threads = int(task["slots"]), int(task["threads"])
    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.n_ctx = int(task["context_tokens"])
    params.n_parallel = slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostnames = [SOCKET]
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


def _give_up_rights(task: dict[str, Any]) -> None:
    """Prompts do not go into core files, nor anything else into files."""
    memory = int(task["memory_mib"]) << 20
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_DATA, memory),
    ):
        resource.setrlimit(limit, (most, most))
    if task["uid"] is not None:
        os.setgroups([])
        os.setgid(task["uid"])
        os.setuid(task["uid"])  # and with it every capability is gone
    os.chdir(task["place"])


def main() -> None:
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import xllamacpp  # before the uid changes: what is installed may be for its owner's eyes only

    _give_up_rights(task)
    server = xllamacpp.Server(_params(xllamacpp, task))
    print(json.dumps({"listening": server.listening_address}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
