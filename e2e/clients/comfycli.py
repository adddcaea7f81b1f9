"""The program of the PyPI package comfy-cli, as people call it in shell scripts.

    python3 comfycli.py 127.0.0.1:8188
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
import urllib.request

import websocket

from shared import Server, digest, graphs, report

server = Server(sys.argv[1])
home = tempfile.TemporaryDirectory()
# The program keeps a file for each of its jobs below the home directory.
os.environ.update(HOME=home.name, DO_NOT_TRACK="1")

# The program takes a second to import its modules, and half a minute on a busy machine. So this
# process imports them, and each call of the program is a fork.
from comfy_cli.__main__ import main  # noqa: E402
import comfy_cli.comfy_client  # noqa: E402, F401
import comfy_cli.command.jobs  # noqa: E402, F401
import comfy_cli.command.run  # noqa: E402, F401
import pydantic.type_adapter  # noqa: E402, F401
import requests  # noqa: E402, F401

# The program tells the progress of a node at most ten times a second.
BETWEEN = 0.15

# Without this, the program gives up when a prompt says nothing for 30 seconds.
PATIENCE = ("--timeout", "600")

watched = {
    "1": {"class_type": "Fractal", "inputs": {"width": 20, "height": 10}},
    "2": {"class_type": "Develop", "inputs": {"image": ["1", 0], "steps": 3}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}


def program(args, out):
    """What the program does, in a process of its own."""
    os.dup2(out, 1)
    sys.argv = ["comfy", *args]
    main()


class Call:
    """One call of the program, and the lines that it has printed so far."""

    def __init__(self, *args, output="--json-stream"):
        args = ["--skip-prompt", output, *args, "--host", server.host, "--port", server.port]
        read, write = os.pipe()
        self.process = multiprocessing.get_context("fork").Process(target=program, args=[args, write])
        self.process.start()
        os.close(write)
        self.stdout = open(read, encoding="utf-8")
        self.lines = []

    def until(self, kind, **fields):
        """Read up to a line of that type that has these fields."""
        for text in self.stdout:
            line = json.loads(text)
            self.lines.append(line)
            if line["type"] == kind and fields.items() <= line.items():
                return line
        raise EOFError(f"no {kind} {fields} in {self.lines}")

    def end(self):
        """Read the last line, and return it with the exit code."""
        last = self.until("envelope")
        self.process.join()
        return last, self.process.exitcode

    def of(self, kind, *fields):
        return [[line[f] for f in fields] for line in self.lines if line["type"] == kind]


def workflow(graph):
    path = os.path.join(home.name, f"{len(os.listdir(home.name))}.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(graph, f)
    return path


def run(graph, **how):
    return Call("run", "--wait", *PATIENCE, "--workflow", workflow(graph), **how)


def fetch(urls):
    files = []
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            files.append([answer.headers["Content-Type"], digest(answer.read())])
    return files


def picture():
    server.queue_other()
    call = run(graphs["picture"])
    call.until("queued")
    server.step()
    call.until("executing", node="2")
    for value in range(1, 5):
        time.sleep(BETWEEN)
        server.step()
        call.until("progress", completed=value)
    last, code = call.end()
    report(
        "picture",
        code=code,
        executing=call.of("executing", "node", "class_type"),
        progress=call.of("progress", "node", "completed", "total"),
        executed=call.of("executed", "node"),
        status=last["data"]["status"],
        ran=last["data"]["executed_node_ids"],
        files=fetch(last["data"]["outputs"]),
    )


def cached():
    last, code = run(graphs["picture"], output="--json").end()
    data = last["data"]
    report("cached", code=code, cached=sorted(data["cached_node_ids"]), files=fetch(data["outputs"]))


def converted():
    """A workflow as the front end saves it. The program turns it into a prompt with /object_info."""
    path = os.path.join(os.path.dirname(__file__), "..", "browser", "workflows", "picture.json")
    call = Call("run", "--wait", "--workflow", path, "--print-prompt")
    last, code = call.end()
    prompt = call.of("prompt_preview", "prompt")[0][0]
    report("converted", code=code, ok=last["ok"], prompt={id: [n["class_type"], n["inputs"]] for id, n in prompt.items()})


def failing():
    call = run(graphs["failing"])
    call.until("executing", node="1")
    server.step()
    last, code = call.end()
    error = last["error"]
    kept = {key: error["details"][key] for key in ("node_id", "node_type", "exception_message")}
    report("failing", code=code, error=error["code"], message=error["message"], **kept)


def refused():
    graph = {
        "1": {"class_type": "RefValidate", "inputs": {"mode": "message", "n": 1}},
        "2": {"class_type": "RefOutput", "inputs": {"value": ["1", 0]}},
    }
    last, code = run(graph).end()
    report("refused", code=code, error=last["error"]["code"], nodes=last["error"]["details"]["node_errors"])


class Tab:
    """An open page: a socket that goes on reading, whoever else comes under its id."""

    def __init__(self, client_id):
        self.client_id = client_id
        self.ws = websocket.create_connection(f"ws://{server.address}/ws?clientId={client_id}", timeout=120)
        self.progress, self.ended = [], []

    def until(self, prompt_id, kind, **fields):
        while True:
            frame = self.ws.recv()
            if isinstance(frame, bytes):
                continue
            message = json.loads(frame)
            data = message["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if message["type"] == "progress":
                self.progress.append(f"{data['node']} {data['value']}/{data['max']}")
            if message["type"].startswith("execution_"):
                self.ended.append(message["type"])
            if message["type"] == kind and fields.items() <= data.items():
                return


def watch():
    """Follow the prompt of an open page, under its id. The page loses nothing, neither
    then nor of the next prompt."""
    tab = Tab("a-page")
    prompt_id = server.queue(watched, tab.client_id)
    server.step()
    tab.until(prompt_id, "progress", value=1)
    call = Call("jobs", "watch", prompt_id, *PATIENCE)
    call.until("progress", node="2", completed=1)
    for value in 2, 3:
        time.sleep(BETWEEN)
        server.step()
        tab.until(prompt_id, "progress", value=value)
        call.until("progress", node="2", completed=value)
    tab.until(prompt_id, "executing", node=None)
    last, code = call.end()
    data = last["data"]
    seen = {"code": code, "status": data["status"], "nodes": data["completed_nodes"], "executed": call.of("executed", "node")}
    seen |= {"attached": data["attached"], "as": data["client_id"], "outputs": len(data["outputs"]), "files": len(fetch(data["outputs"]))}

    after = server.queue({"1": {"class_type": "RefOutput", "inputs": {"value": 5}}}, tab.client_id)
    tab.until(after, "executing", node=None)
    tab.ws.close()
    report("watch", **seen, tab={"progress": tab.progress, "messages": tab.ended})


def cancel():
    """Cancel the prompt that runs, while a call waits for it."""
    call = run(graphs["endless"])
    prompt_id = call.until("queued")["prompt_id"]
    call.until("executing", node="2")
    done, done_code = Call("jobs", "cancel", prompt_id).end()
    last, code = call.end()
    told = {key: done["data"][key] for key in ("found", "queue_delete_ok", "interrupt_ok")}
    report("cancel", cancel=done_code, **told, code=code, error=last["error"]["code"])


def cancel_pending():
    """Cancel a prompt that waits. The prompt that runs goes on."""
    other = server.queue_other()
    prompt_id = server.queue(graphs["endless"], "a script")
    done, code = Call("jobs", "cancel", prompt_id).end()
    queue = json.loads(server.get("/queue"))
    still = [item[1] for item in queue["queue_running"]] == [other]
    server.step()
    report("cancel pending", code=code, found=done["data"]["found"], pending=len(queue["queue_pending"]), goes_on=still)


picture()
cached()
converted()
failing()
refused()
watch()
cancel()
cancel_pending()
home.cleanup()
