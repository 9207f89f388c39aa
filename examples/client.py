#!/usr/bin/python3
"""Joins a room, prints its messages, and reconnects the way docs/PROTOCOL.md asks for.

Needs Debian's python3-websockets.  /usr/bin/python3 client.py URL [ROOM]
"""
import asyncio
import json
import random
import sys

import websockets

# The close codes after which trying again with the same token cannot help.
FINAL = {1002, 1003, 1007, 1008, 1009, 4401, 4403}


async def listen(url, room):
    """Prints messages until the connection ends; returns (close code, seconds that the server asked to wait)."""
    wait = None
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"type": "join", "room": room, "id": "join"}))
        try:
            async for text in socket:
                envelope = json.loads(text)
                if envelope["type"] == "message":
                    print(f'{envelope["from"]["user"]}: {envelope["content"]}', flush=True)
                elif envelope["type"] == "joined":
                    print(f"joined {room}", flush=True)
                elif envelope["type"] == "closing":
                    wait = envelope["reconnectInMs"] / 1000
                elif envelope["type"] == "error":
                    print(f'{envelope["code"]}: {envelope["message"]}', file=sys.stderr)
        except websockets.ConnectionClosed:
            pass
        return socket.close_code, wait


async def main(url, room):
    delay = 1
    while True:
        code, wait = None, None
        try:
            code, wait = await listen(url, room)
            delay = 1
        except websockets.InvalidStatusCode as refusal:
            if refusal.status_code not in (429, 503):
                sys.exit(f"refused with {refusal.status_code}")
        except OSError:
            pass
        if code in FINAL:
            sys.exit(f"closed with {code}")
        await asyncio.sleep(wait if wait is not None else delay * (0.5 + random.random() / 2))
        delay = min(30, delay * 2)


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "general"))
