"""The PyPI package comfy-sdk. It speaks the Comfy API v2, which the program of the package
comfy-api-proxy offers in front of a server.

    python3 comfysdk.py 127.0.0.1:8188
"""

import json
import os
import re
import subprocess
import sys
import time

from comfy_sdk import Comfy, InvalidWorkflow, JobFailed, OutputReady, Preview, Progress, StatusChange

from shared import Server, digest, graphs, report, wait_until

server = Server(sys.argv[1])

# The proxy tells at most two previews and two steps of progress a second.
BETWEEN = 0.6


def start_proxy():
    command = [sys.executable, "-u", "-m", "comfy_api_proxy.cli", "--comfyui", server.url, "--port", "0"]
    proxy = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    for line in proxy.stdout:
        if found := re.search(r"http://\S+", line):
            return proxy, found[0]
    raise EOFError("the proxy ended")


proxy, os.environ["COMFY_BASE_URL"] = start_proxy()
client = Comfy()


def submit(graph):
    return client.submit(client.workflows.from_json(graph))


def starts(job):
    wait_until(lambda: job.id in server.running())


def ended(job):
    """Wait for the end of a prompt. The proxy asks for /history, then for /queue. If the prompt
    ends between the two, it says that the job is expired."""
    wait_until(lambda: job.id in json.loads(server.get(f"/history/{job.id}")))
    return job.refresh()


def files(job):
    return [[o.node_id, o.name, o.content_type, digest(o.to_bytes())] for o in job.outputs]


def picture():
    server.queue_other()
    job = submit(graphs["picture"])
    statuses, previews, outputs, progress, listens = [], [], [], set(), False
    for event in job.events():
        match event:
            case StatusChange():
                statuses.append([event.status, event.queue_position])
                if event.status == "queued":
                    server.step()  # of somebody else
            case Progress() if not listens:
                listens = True  # the proxy has a socket
                starts(job)
                server.step()
            case Preview():
                previews.append([event.node_id, event.content_type])
                if len(previews) < 4:
                    time.sleep(BETWEEN)
                    server.step()
            case Progress(current_node="2", steps=4):
                progress.add(event.current_node)
            case OutputReady():
                outputs.append(event.output.name)
    job.result()
    assert job.get_workflow().graph == graphs["picture"]
    report("picture", statuses=statuses, previews=previews, progress=sorted(progress), outputs=outputs, files=files(job))


def cached():
    job = ended(submit(graphs["picture"])).result()
    report("cached", status=job.status, files=files(job))


def failing():
    job = submit(graphs["failing"])
    starts(job)
    server.step()
    try:
        ended(job).result()
    except JobFailed as failed:
        error = failed.error
        report("failing", status=job.status, node=error.node_id, type=error.class_type, message=error.message)


def refused():
    try:
        submit(graphs["invalid"])
    except InvalidWorkflow as err:
        types = [e["type"] for e in err.details["node_errors"]["1"]["errors"]]
        report("refused", code=err.code, message=err.message, errors=types)


def canceled():
    job = submit(graphs["endless"])
    starts(job)
    status = ended(job.cancel()).status
    report("canceled", status=status, events=[event.status for event in job.events()])


def canceled_early():
    """Cancel a prompt that waits. The prompt that runs goes on."""
    other = server.queue_other()
    job = submit(graphs["endless"])
    position = job.refresh()._model.queue_position
    status = ended(job.cancel()).status
    goes_on = server.running() == [other]
    server.step()
    report("canceled early", position=position, status=status, goes_on=goes_on)


def uploaded():
    asset = client.assets.from_bytes(b"a note", filename="note.txt", content_type="text/plain")
    workflow = client.workflows.from_json({"1": {"class_type": "RefOutput", "inputs": {}}})
    workflow.set_input("1", "value", asset)
    job = ended(client.submit(workflow))
    outputs = json.loads(server.get(f"/history/{job.id}"))[job.id]["outputs"]
    name = outputs["1"]["text"][0]
    report("uploaded", name=name, content=server.get("/view", filename=name, type="input").decode())


try:
    for scenario in (picture, cached, failing, refused, canceled, canceled_early, uploaded):
        scenario()
finally:
    client.close()
    proxy.terminate()
    proxy.wait()
