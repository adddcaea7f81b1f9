"""A plain script that gets its pictures over the socket: every binary frame that
comes while a node runs is a picture of that node. So people read the output of
ComfyUI's node SaveImageWebsocket.

    python3 pictures.py 127.0.0.1:8188
"""

import json
import struct
import sys
import urllib.request
import uuid

import websocket

server, client_id = sys.argv[1], str(uuid.uuid4())
graph = {"9": {"class_type": "Batch", "inputs": {"count": 8}}}
ws = websocket.WebSocket()
ws.connect(f"ws://{server}/ws?clientId={client_id}")
body = json.dumps({"prompt": graph, "client_id": client_id}).encode()
with urllib.request.urlopen(urllib.request.Request(f"http://{server}/prompt", data=body)) as answer:
    prompt_id = json.load(answer)["prompt_id"]

pictures, node = {}, None
while True:
    frame = ws.recv()
    if isinstance(frame, bytes):
        kind, form = struct.unpack(">II", frame[:8])
        width, height = struct.unpack(">II", frame[24:32])  # in the first chunk of a PNG file
        pictures.setdefault(node, []).append([kind, form, width, height])
        continue
    message = json.loads(frame)
    if message["type"] == "executing" and message["data"]["prompt_id"] == prompt_id:
        node = message["data"]["node"]
        if node is None:
            break
ws.close()
print(json.dumps({"scenario": "pictures", "pictures": pictures}))
