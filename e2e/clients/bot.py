"""Bots that keep one socket of websocket-client for all their prompts, and pause between
them. One reads the socket all the time, one only while it waits for a prompt, and one reads
like that but answers no ping.

    python3 bot.py 127.0.0.1:8188 70
"""

import json
import queue
import sys
import threading
import time

import websocket

from shared import Server, report

server, pause = Server(sys.argv[1]), float(sys.argv[2])
PROMPTS = 3


class Bot:
    def __init__(self, name):
        self.name = name
        self.ws = websocket.create_connection(f"ws://{server.address}/ws?clientId={name}", timeout=120 + pause)

    def recv(self):
        """The next message. The library answers pings meanwhile."""
        return self.ws.recv()

    def until_end(self, prompt_id):
        """The types of the messages up to the end of the prompt, and to which prompt they belong."""
        seen = []
        while True:
            message = json.loads(self.recv())
            data = message["data"]
            # A newer progress_state may replace an older one that is not sent yet.
            if "prompt_id" in data and message["type"] != "progress_state":
                seen.append([message["type"], data["prompt_id"] == prompt_id])
                if message["type"] == "executing" and data["node"] is None:
                    return seen

    def live(self):
        seen = []
        for i in range(PROMPTS):
            if i:
                time.sleep(pause)
            graph = {"1": {"class_type": "RefOutput", "inputs": {"value": f"{self.name} {i}"}}}
            seen.append(self.until_end(server.queue(graph, self.name)))
        self.ws.close()
        self.saw = {"same": seen[1:] == seen[:-1], "seen": seen[0]}


class Reader(Bot):
    """A bot with a thread that reads all the time."""

    def __init__(self, name):
        super().__init__(name)
        self.messages = queue.SimpleQueue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while True:
                self.messages.put(self.ws.recv())
        except (websocket.WebSocketException, OSError):
            pass  # the bot has closed the socket

    def recv(self):
        return self.messages.get()


class Mute(Bot):
    """A bot that skips pings."""

    def recv(self):
        while True:
            frame = self.ws.recv_frame()
            if frame.opcode == websocket.ABNF.OPCODE_TEXT:
                return frame.data
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                raise EOFError(f"{self.name}: {frame.data}")


failed = []


def run(bot):
    try:
        bot.live()
    except Exception as err:
        failed.append(f"{bot.name}: {err!r}")


bots = [Reader("reads"), Bot("pauses"), Mute("mute")]
threads = [threading.Thread(target=run, args=[bot]) for bot in bots]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failed:
    sys.exit("\n".join(failed))
for bot in bots:
    report(bot.name, **bot.saw)
