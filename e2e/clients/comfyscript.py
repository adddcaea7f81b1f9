"""The PyPI package comfy-script: a program of Python calls becomes a prompt. The package
makes its functions from /object_info. Here it submits its first prompt before it connects.

    python3 comfyscript.py 127.0.0.1:8188
"""

import sys
import threading

from comfy_script.runtime import Workflow, load, queue

from shared import Server, digest, graphs, report, wait_until

server = Server(sys.argv[1])
sys.stdout = sys.stderr  # the package prints, also between the words of a report
load(server.url, watch=False)
from comfy_script.runtime.nodes import *  # noqa: E402, F403: what load found


class Seen:
    """What the callbacks of a task were told."""

    def __init__(self, task):
        self.task = task
        self.changed = threading.Condition()
        self.progress, self.previews = [], []
        task.add_progress_callback(lambda p: self.add(self.progress, f"{p.node_id} {p.value}/{p.max}"))
        task.add_preview_callback(lambda task, id, image: self.add(self.previews, [id, image.format, *image.size]))

    def add(self, to, what):
        with self.changed:
            to.append(what)
            self.changed.notify()

    def until(self, to, count):
        with self.changed:
            self.changed.wait_for(lambda: len(to) >= count)


def result_of(workflow, output):
    """Wait for the whole prompt. If the queue is empty at the end of a prompt, the package gives
    up all others that it knows, so the next prompt must not come before."""
    workflow.task.wait()
    return workflow.task.wait_result(output)


def early():
    """The prompt already waits in its first node when the package connects."""
    with Workflow() as workflow:
        shown = RefOutput(Gate(42))
    wait_until(lambda: workflow.task.prompt_id in server.running())
    queue.start_watch()
    wait_until(lambda: queue.queue_remaining > 0)
    server.step()
    report("connected late", result=result_of(workflow, shown)._output)


def picture():
    """The package takes a preview only after the first progress, as ComfyUI sends them."""
    steps = 4
    server.queue_other()
    with Workflow() as workflow:
        first = RefProgressHook(Fractal(32, 24), 1, "none", 0)
        saved = SaveImage(Develop(first, steps), "picture")
    seen = Seen(workflow.task)
    server.step()
    seen.until(seen.progress, 1)
    for i in range(steps):
        server.step()
        seen.until(seen.progress, i + 2)
    result = result_of(workflow, saved)
    (image,) = result.wait()
    (file,) = result._output["images"]
    whole = [image.format, *image.size, digest(server.get("/view", **file))]
    report("picture", progress=seen.progress, previews=seen.previews, file=file, image=whole)


def cached():
    """Nothing is left to compute: the prompt ends as soon as it begins. The package does not survive
    the end of a prompt whose submission it has not read yet, so the prompt waits behind another."""
    files = []
    for _ in range(5):
        server.queue_other()
        with Workflow() as workflow:
            first = RefProgressHook(Fractal(32, 24), 1, "none", 0)
            saved = SaveImage(Develop(first, 4), "picture")
        server.step()
        files += result_of(workflow, saved)._output["images"]
    report("cached", files=[file["filename"] for file in files])


def failing():
    """The package does not read why a prompt failed. The task ends without a result."""
    with Workflow() as workflow:
        shown = RefOutput(RefRaise(Gate(1), "no luck"))
    wait_until(lambda: workflow.task.prompt_id in server.running())
    server.step()
    report("failing", result=result_of(workflow, shown), done=workflow.task.done())


def refused():
    with Workflow() as workflow:
        RefOutput(RefValidate("message", 1))
    report("refused", task=workflow.task)


def interrupted():
    with Workflow() as workflow:
        shown = RefOutput(Gate(2))
    wait_until(lambda: workflow.task.prompt_id in server.running())
    queue.cancel_current()
    report("interrupted", result=result_of(workflow, shown), done=workflow.task.done())


for scenario in (early, picture, cached, failing, refused, interrupted):
    scenario()
