"""The PyPI package comfy-api-simplified: it posts a prompt, connects only then, and takes
pictures from /history, or from the socket if it gets binary frames there.

    python3 simplified.py 127.0.0.1:8188
"""

import io
import logging
import queue
import sys
import threading

from PIL import Image
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfy_api_simplified.exceptions import ComfyApiError

from shared import Server, digest, graphs, report

server = Server(sys.argv[1])
api = ComfyApiWrapper(server.url)


class Heard(logging.Handler):
    """The messages that the package has received: it logs each of them."""

    def __init__(self):
        super().__init__()
        self.messages = queue.SimpleQueue()

    def emit(self, record):
        if isinstance(record.msg, dict) and "type" in record.msg:
            self.messages.put(record.msg)

    def until(self, kind, **fields):
        while True:
            message = self.messages.get()
            if message["type"] == kind and fields.items() <= message["data"].items():
                return message["data"]

    def rest(self):
        found = []
        while not self.messages.empty():
            found.append(self.messages.get())
        return found


heard = Heard()
logger = logging.getLogger("comfy_api_simplified.comfy_api_wrapper")
logger.addHandler(heard)
logger.setLevel(logging.DEBUG)
logger.propagate = False


def titled(graph):
    """The package finds nodes by their titles."""
    return ComfyWorkflowWrapper({id: {**node, "_meta": {"title": f"node {id}"}} for id, node in graph.items()})


def call(graph, output, meanwhile=server.step):
    """Run a graph behind one of somebody else, which ends when the package listens."""
    result = {}

    def work():
        try:
            result["images"] = api.queue_and_wait_images(graph, output)
        except (ComfyApiError, KeyError) as err:
            result["error"] = f"{type(err).__name__}: {err}"

    server.queue_other()
    thread = threading.Thread(target=work)
    thread.start()
    heard.until("status")
    meanwhile()
    thread.join()
    return result


def picture():
    graph = titled(
        {
            "1": graphs["picture"]["1"],
            "2": {"class_type": "RefProgressHook", "inputs": {"value": ["1", 0], "steps": 3, "preview": "none", "delay": 0}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "unnamed"}},
        }
    )
    graph.set_node_param("node 3", "filename_prefix", "picture")
    images = call(graph, "node 3")["images"]
    progress = [f"{m['data']['node']} {m['data']['value']}/{m['data']['max']}" for m in heard.rest() if m["type"] == "progress"]
    # A newer progress may replace an older one that is not sent yet.
    report("picture", files={name: digest(content) for name, content in images.items()}, progress=progress[-1])


def socket_pictures():
    images = call(titled({"9": {"class_type": "Batch", "inputs": {"count": 3}}}), "node 9")["images"]
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in images.items()}
    heard.rest()
    report("pictures over the socket", sizes=sizes)


def failing():
    def meanwhile():
        server.step()
        heard.until("executing", node="1")
        server.step()

    report("failing", error=call(titled(graphs["failing"]), "node 3", meanwhile)["error"])
    heard.rest()


def refused():
    try:
        api.queue_prompt(graphs["invalid"])
    except ComfyApiError as err:
        report("refused", error=str(err))


def interrupted():
    """The package takes the end of the queue for the end of the prompt, and finds no output."""

    def meanwhile():
        server.step()
        heard.until("executing", node="2")
        (running,) = server.running()
        assert api.get_queue_size_before(running) == 0
        api.interrupt()

    error = call(titled(graphs["endless"]), "node 3", meanwhile)["error"]
    ends = [m["type"] for m in heard.rest() if m["type"].startswith("execution_")]
    report("interrupted", error=error, heard=ends)


def routes():
    put = api.upload_image(__file__, "scripts")
    back = api.get_image(put["name"], put["subfolder"], put["type"])
    with open(__file__, "rb") as f:
        same = back == f.read()
    info = api.get_object_info("Fractal")
    known = sorted(info["Fractal"]["input"]["required"])
    stats = sorted(api.get_system_stats())
    report("routes", uploaded=put, same=same, inputs=known, stats=stats, embeddings=api.get_embeddings())


picture()
socket_pictures()
failing()
refused()
interrupted()
routes()
