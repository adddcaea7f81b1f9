"""The package comfyui-utils: it opens its socket only after the prompt is queued, and then reads
it up to the first output. If the prompt has ended before, it looks into the history.

    python3 comfyui-utils.py 127.0.0.1:8188
"""

import asyncio
import hashlib
import json
import sys
import urllib.request

from comfyui_utils.comfy import Callbacks, ComfyAPI

server = sys.argv[1]
api = ComfyAPI(server)


def go_on():
    urllib.request.urlopen(urllib.request.Request(f"http://{server}/step", method="POST")).close()


class Seen(Callbacks):
    """What the callbacks are told. A node that waits goes on when it is told of."""

    def __init__(self, gate=None):
        self.gate, self.positions, self.nodes, self.outputs, self.cached = gate, [], [], None, None

    async def queue_position(self, position):
        self.positions.append(position)

    async def in_progress(self, node_id, progress, total):
        self.nodes.append(node_id)
        if node_id == self.gate:
            self.gate = None  # a socket that opens in mid-run may be told of a node twice
            go_on()

    async def completed(self, outputs, cached):
        self.outputs, self.cached = outputs, cached


def report(scenario, **saw):
    print(json.dumps({"scenario": scenario, **saw}), flush=True)


picture = {
    "1": {"class_type": "Fractal", "inputs": {"width": 32, "height": 24}},
    "2": {"class_type": "Gate", "inputs": {"value": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "picture"}},
}
quick = {"7": {"class_type": "StubInt", "inputs": {"value": 7}}, "8": {"class_type": "RefOutput", "inputs": {"value": ["7", 0]}}}
failing = {
    "1": {"class_type": "Gate", "inputs": {"value": 1}},
    "2": {"class_type": "RefRaise", "inputs": {"value": ["1", 0], "message": "no luck"}},
    "3": {"class_type": "RefOutput", "inputs": {"value": ["2", 0]}},
}
invalid = {"1": {"class_type": "Fractal", "inputs": {"width": 4000, "height": 24}}, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}


async def main():
    seen = Seen(gate=2)
    await api.submit(picture, seen)
    sums = []

    async def digest(file):
        sums.append(hashlib.sha256(file.read()).hexdigest())

    await api.fetch(seen.outputs["images"][0], digest)
    report("picture", position=seen.positions[-1], nodes=sorted({2, 3} & set(seen.nodes)), outputs=seen.outputs, cached=seen.cached, sha256=sums[0])

    outputs = []  # each of these ends at about the time when the socket opens
    for _ in range(20):
        seen = Seen()
        await api.submit(quick, seen)
        outputs.append(seen.outputs)
    report("quick", outputs=outputs[0], same=all(o == outputs[0] for o in outputs))

    seen = Seen(gate=1)
    try:
        await api.submit(failing, seen)
    except RuntimeError as err:  # the package expects an output
        report("failing", error=str(err), outputs=seen.outputs)
    try:
        await api.submit(invalid, Seen())
    except ValueError as err:
        report("invalid", error=str(err))


asyncio.run(main())
