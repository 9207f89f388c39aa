#!/usr/bin/python3
"""Joins a room, prints its messages, and reconnects the way docs/PROTOCOL.md asks for.

Needs Debian's python3-websockets.  /usr/bin/python3 client.py URL [ROOM]
"""
import asyncio
import json
import random
import re
import sys

import websockets

# The close codes after which trying again with the same token cannot help, and the answers to an upgrade.
FINAL = {1002, 1003, 1007, 1008, 1009, 4401, 4403}
REFUSED = {400, 401, 403, 404, 426}


class Room:
    """A room and the position in it: where the next connection goes on."""

    def __init__(self, name):
        self.name = name
        self.since = None

    def join(self):
        since = {"since": self.since} if self.since else {}
        return json.dumps({"type": "join", "room": self.name, "id": "join", **since})

    def see(self, envelope):
        if envelope["type"] == "joined" and not envelope.get("recovered"):
            known = "epoch" in envelope
            self.since = {"epoch": envelope["epoch"], "offset": envelope["offset"]} if known else None
        elif envelope["type"] == "message" and self.since and "offset" in envelope:
            self.since["offset"] = envelope["offset"]


async def listen(url, room):
    """Prints messages until the connection ends; returns (whether it had joined, close code, seconds to wait)."""
    joined, wait = False, None
    async with websockets.connect(url) as socket:
        await socket.send(room.join())
        try:
            async for text in socket:
                envelope = json.loads(text)
                room.see(envelope)
                if envelope["type"] == "message":
                    print(f'{envelope["from"]["user"]}: {envelope["content"]}', flush=True)
                elif envelope["type"] == "joined":
                    joined = True
                    print(f"joined {room.name}", flush=True)
                elif envelope["type"] == "reset":
                    # The history began anew: the old position is answered with recovered false, and a new one.
                    await socket.send(room.join())
                elif envelope["type"] == "closing":
                    wait = envelope["reconnectInMs"] / 1000
                elif envelope["type"] == "error":
                    print(f'{envelope["code"]}: {envelope["message"]}', file=sys.stderr)
        except websockets.ConnectionClosed:
            pass
        if socket.close_code == 4429:
            seconds = re.search(r"\d+", socket.close_reason or "")
            wait = int(seconds[0]) if seconds else None
        return joined, socket.close_code, wait


def status_of(refusal):
    """The HTTP status of a refused upgrade, in older and newer versions of websockets; None for no HTTP at all."""
    response = getattr(refusal, "response", None)
    return getattr(refusal, "status_code", None) or getattr(response, "status_code", None)


async def main(url, room):
    delay = 0.1
    while True:
        joined, code, wait, least, most = False, None, None, 0.1, 5
        try:
            joined, code, wait = await listen(url, room)
            if code in (1011, 1013):
                least, most = 1, 30
        except websockets.InvalidHandshake as refusal:
            status = status_of(refusal)
            if status in REFUSED:
                sys.exit(f"refused with {status}")
            least, most = 1, 30
        except OSError:
            pass
        if code in FINAL:
            sys.exit(f"closed with {code}")
        delay = least if joined else min(most, max(least, delay))
        await asyncio.sleep(wait if wait is not None else delay * (0.5 + random.random() / 2))
        delay *= 2


asyncio.run(main(sys.argv[1], Room(sys.argv[2] if len(sys.argv) > 2 else "general")))
