"""What the Python clients have in common, as report.mjs is for those in JavaScript:
the graphs, plain requests, the steps that nodes wait for, and how to report."""

import hashlib
import json
import os
import sys
import time
import urllib.parse
import urllib.request

with open(os.path.join(os.path.dirname(__file__), "graphs.json"), encoding="utf-8") as f:
    graphs = json.load(f)


def report(scenario, **saw):
    """Print one line that the test compares."""
    print(json.dumps({"scenario": scenario, **saw}), file=sys.__stdout__, flush=True)


def digest(content):
    """Name a file by its content."""
    return hashlib.sha256(content).hexdigest()


def wait_until(holds):
    """Wait for what another thread or process brings about. The test bounds the wait."""
    while not holds():
        time.sleep(0.01)


class Server:
    """Plain requests to the server under test."""

    def __init__(self, address):
        self.address = address
        self.host, self.port = address.rsplit(":", 1)
        self.url = f"http://{address}"

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}") as answer:
            return answer.read()

    def post(self, path, body=b""):
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data=body)) as answer:
            return answer.read()

    def step(self):
        """Let a node take one step, and wait for one that takes it."""
        self.post("/step")

    def queue(self, graph, client_id):
        body = json.dumps({"prompt": graph, "client_id": client_id}).encode()
        return json.loads(self.post("/prompt", body))["prompt_id"]

    def running(self):
        return [item[1] for item in json.loads(self.get("/queue"))["queue_running"]]

    def queue_other(self):
        """Have a prompt of somebody else run until a step lets it go on. What is queued
        meanwhile begins only then, so that a client has listened for as long as it needs to."""
        other = self.queue(graphs["other"], "somebody else")
        wait_until(lambda: other in self.running())
        return other
