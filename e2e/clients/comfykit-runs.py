"""The package comfykit: it runs workflow files whose titles name parameters and outputs, and waits
either by the socket or by asking for the history.

    python3 comfykit-runs.py 127.0.0.1:8188
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
import tempfile

import aiohttp
from comfykit import ComfyKit

server = sys.argv[1]
logging.disable(logging.CRITICAL)

picture = {
    "1": {"class_type": "Fractal", "inputs": {"width": 8, "height": 24}, "_meta": {"title": "Paint, $width, $tall.height!"}},
    "2": {"class_type": "Develop", "inputs": {"image": ["1", 0], "steps": 4}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "picture"}, "_meta": {"title": "$output.saved"}},
}
named = {
    "1": {"class_type": "RefPass", "inputs": {"value": "none"}, "_meta": {"title": "$~value"}},
    "2": {"class_type": "RefOutput", "inputs": {"value": ["1", 0]}, "_meta": {"title": "$output.name"}},
}
failing = {
    "1": {"class_type": "StubInt", "inputs": {"value": 1}},
    "2": {"class_type": "RefRaise", "inputs": {"value": ["1", 0], "message": "no luck"}},
    "3": {"class_type": "RefOutput", "inputs": {"value": ["2", 0]}},
}
endless = {"1": {"class_type": "Gate", "inputs": {"value": 1}}, "2": {"class_type": "RefOutput", "inputs": {"value": ["1", 0]}}}
invalid = {"1": {"class_type": "Fractal", "inputs": {"width": 4000, "height": 24}}, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}


def report(scenario, **saw):
    print(json.dumps({"scenario": scenario, **saw}), flush=True)


async def scenarios(kind, http):
    async def post(path, times=1):
        for _ in range(times):
            async with http.post(f"http://{server}{path}") as answer:
                await answer.read()

    async def interrupt():
        running = []
        while not running:
            async with http.get(f"http://{server}/queue") as answer:
                running = (await answer.json())["queue_running"]
        await post("/interrupt")

    with tempfile.TemporaryDirectory() as folder:
        kit = ComfyKit(comfyui_url=f"http://{server}", executor_type=kind)  # to close it fails in this version
        path = os.path.join(folder, "picture.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(picture, f)
        size = {"width": 32, "tall": 24 if kind == "websocket" else 48}
        result, _ = await asyncio.gather(kit.execute(path, size), post("/step", 4))
        (url,) = result.images_by_var["saved"]
        async with http.get(url) as answer:
            sha256 = hashlib.sha256(await answer.read()).hexdigest()
        report(f"{kind} picture", status=result.status, outputs=result.outputs, file=url.removeprefix(f"http://{server}"), sha256=sha256)

        upload = os.path.join(folder, f"{kind}.txt")
        with open(upload, "w", encoding="utf-8") as f:
            f.write("text")
        result = await kit.execute_json(named, {"value": upload})
        report(f"{kind} upload", status=result.status, texts=result.texts_by_var)
        result = await kit.execute_json(failing)
        report(f"{kind} failing", status=result.status, message=result.msg)
        result = await kit.execute_json(invalid)
        report(f"{kind} invalid", status=result.status, code="[400]" in result.msg, type="prompt_outputs_failed_validation" in result.msg)
        result, _ = await asyncio.gather(kit.execute_json(endless), interrupt())
        report(f"{kind} endless", status=result.status, message=result.msg)

        texts = []
        if kind == "websocket":  # what ends at once; the other way asks each second
            texts = [(await kit.execute_json(named, {"value": upload})).texts for _ in range(5)]
        report(f"{kind} cached", texts=texts)


async def main():
    async with aiohttp.ClientSession() as http:
        for kind in ("websocket", "http"):
            await scenarios(kind, http)


asyncio.run(main())
