"""A plain script, as people write them for ComfyUI: a client id of its own, a
socket of websocket-client, prompts posted with urllib, and a loop that reads the
socket until the closing `executing`. Pictures are read from /view; those that
come over the socket itself belong to the node that was named last.

    python3 plain.py 127.0.0.1:8188
"""

import hashlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

import websocket

server = sys.argv[1]
client_id = str(uuid.uuid4())
with open(os.path.join(os.path.dirname(__file__), "graphs.json"), encoding="utf-8") as f:
    graphs = json.load(f)


def get(path, **query):
    with urllib.request.urlopen(f"http://{server}{path}?{urllib.parse.urlencode(query)}") as answer:
        return answer.read()


def post(path, body=b""):
    with urllib.request.urlopen(urllib.request.Request(f"http://{server}{path}", data=body)) as answer:
        return answer.read()


def queue_prompt(graph, client=client_id):
    return json.loads(post("/prompt", json.dumps({"prompt": graph, "client_id": client}).encode()))


def go_on(node):
    """Let a node begin that waits for that."""
    if node["class_type"] in ("Gate", "Develop"):
        post("/step")


def follow(ws, name, on_executing=go_on):
    """Queue a graph and read the socket to the end of it. It runs after one of
    somebody else, of which nothing is to be heard."""
    other = queue_prompt(graphs["other"], "somebody else")["prompt_id"]
    while other not in [item[1] for item in json.loads(get("/queue"))["queue_running"]]:
        pass
    prompt_id = queue_prompt(graphs[name])["prompt_id"]
    post("/step")
    saw = {"executing": [], "cached": [], "progress": [], "outputs": {}, "ended": [], "foreign": 0}
    more = {"previews": [], "notes": [], "id": prompt_id}
    current = None
    while True:
        frame = ws.recv()
        if isinstance(frame, bytes):
            kind, fmt = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
            more["previews"].append(f"{current}: {kind} {fmt} {frame[8:10].hex()}")
            continue
        message = json.loads(frame)
        kind, data = message["type"], message["data"]
        if data.get("prompt_id", prompt_id) != prompt_id:
            saw["foreign"] += 1
            continue
        if kind == "executing":
            current = data["node"]
            saw["executing"].append(current)
            if current is None:
                return saw, more
            on_executing(graphs[name][current])
        elif kind == "execution_cached":
            saw["cached"] += data["nodes"]
        elif kind == "progress":
            saw["progress"].append(f"{data['node']} {data['value']}/{data['max']}")
            if data["value"] < data["max"]:
                post("/step")  # the next one, now that this one is known
        elif kind == "executed":
            saw["outputs"][data["node"]] = data["output"]
        elif kind in ("execution_success", "execution_error", "execution_interrupted"):
            saw["ended"].append(kind)
            more["cause"] = data
        elif kind == "e2e.note":
            more["notes"].append(data)


def report(scenario, saw):
    print(json.dumps({"scenario": scenario, **saw}), flush=True)


def picture(ws, scenario):
    saw, more = follow(ws, "picture")
    record = json.loads(get(f"/history/{more['id']}"))[more["id"]]
    file = record["outputs"]["3"]["images"][0]
    sha256 = hashlib.sha256(get("/view", **file)).hexdigest()
    report(scenario, {**saw, "previews": more["previews"], "file": file, "sha256": sha256})


def main():
    ws = websocket.WebSocket()
    ws.connect(f"ws://{server}/ws?clientId={client_id}", timeout=120)
    picture(ws, "picture")
    picture(ws, "cached")

    saw, more = follow(ws, "failing")
    status = json.loads(get(f"/history/{more['id']}"))[more["id"]]["status"]["status_str"]
    cause = {key: more["cause"][key] for key in ("node_id", "node_type", "exception_message")}
    report("failing", {**saw, **cause, "status": status})

    try:
        queue_prompt(graphs["invalid"])
    except urllib.error.HTTPError as refused:
        body = json.loads(refused.read())
        report("invalid", {"code": refused.code, "type": body["error"]["type"], "nodes": body["node_errors"]})

    second = graphs["endless"]["2"]
    saw, more = follow(ws, "endless", lambda node: node is second and post("/interrupt"))
    report("endless", {**saw, "node_id": more["cause"]["node_id"]})

    saw, more = follow(ws, "telling")
    report("telling", {**saw, "notes": more["notes"]})
    ws.close()


main()
