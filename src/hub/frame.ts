// RFC 6455 section 5.2, the server's side: frames are final and not masked, so one frame's bytes are the same
// for every member and are made once.
const FIN_TEXT = 0x81
const FIN_PING = 0x89
const FIN_PONG = 0x8a

/** One whole text frame, of a text or of its UTF-8 bytes. */
export function textFrame(text: string | Buffer): Buffer {
  const length = typeof text === 'string' ? Buffer.byteLength(text) : text.length
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = FIN_TEXT
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(0, 2) // a message is far below 4 GiB
    frame.writeUInt32BE(length, 6)
  }
  if (typeof text === 'string') frame.write(text, header)
  else text.copy(frame, header)
  return frame
}

/** `payload` is at most 125 bytes. */
export function pingFrame(payload: Uint8Array): Buffer {
  return controlFrame(FIN_PING, payload)
}

/** `payload` is at most 125 bytes: that of the ping it answers. */
export function pongFrame(payload: Uint8Array): Buffer {
  return controlFrame(FIN_PONG, payload)
}

function controlFrame(firstByte: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(2 + payload.length)
  frame[0] = firstByte
  frame[1] = payload.length
  frame.set(payload, 2)
  return frame
}
