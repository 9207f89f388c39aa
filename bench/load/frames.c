// RFC 6455, as a client sees it.
#include "load.h"
#include <string.h>

static const uint8_t MASK[4] = { 0x5a, 0xc3, 0x17, 0x9e };
/** Larger messages than any scenario has; a header that says more is a broken stream. */
static const uint64_t MAX_PAYLOAD = 64u << 20;

void queue_frame(struct client *client, enum opcode opcode, const void *payload, size_t length) {
  uint8_t header[14];
  size_t size = 2;
  header[0] = (uint8_t)(0x80 | opcode);
  if (length < 126) header[1] = (uint8_t)(0x80 | length);
  else {
    int bytes = length < 65536 ? 2 : 8;
    header[1] = 0x80 | (bytes == 2 ? 126 : 127);
    for (int n = 0; n < bytes; n++) header[size++] = (uint8_t)((uint64_t)length >> (8 * (bytes - 1 - n)));
  }
  memcpy(header + size, MASK, sizeof MASK);
  append(&client->out, header, size + sizeof MASK);
  append(&client->out, payload, length);
  uint8_t *masked = client->out.bytes + client->out.length - length;
  for (size_t n = 0; n < length; n++) masked[n] ^= MASK[n & 3];
}

/** Bytes of the frame at `bytes`, 0 if its header is not complete; `*header` is where the payload begins. */
static uint64_t frame_size(const uint8_t *bytes, size_t length, size_t *header) {
  if (length < 2) return 0;
  if (bytes[1] & 0x80) fail("the server masks its frames");
  uint64_t payload = bytes[1] & 127;
  size_t wide = payload == 126 ? 2 : payload == 127 ? 8 : 0;
  *header = 2 + wide;
  if (length < *header) return 0;
  if (wide > 0) payload = 0;
  for (size_t n = 0; n < wide; n++) payload = payload << 8 | bytes[2 + n];
  if (payload > MAX_PAYLOAD) fail("a frame of %llu bytes", (unsigned long long)payload);
  return *header + payload;
}

static void take_frame(struct load *load, struct client *client, uint8_t *frame, size_t header, size_t size,
                       on_frame *handle) {
  bool is_final = frame[0] & 0x80;
  enum opcode opcode = frame[0] & 15;
  if (is_final && opcode != CONTINUATION) {
    handle(load, client, opcode, frame + header, size - header);
    return;
  }
  // A message in several frames: gorilla makes one whenever its write buffer is full.
  append(&client->fragments, frame + header, size - header);
  if (!is_final) return;
  handle(load, client, TEXT, client->fragments.bytes, client->fragments.length);
  client->fragments.length = 0;
}

/** Handles the complete frames where they lie; only the begin of an unfinished one is copied. */
void take_frames(struct load *load, struct client *client, uint8_t *bytes, size_t length, on_frame *handle) {
  struct buffer *in = &client->in;
  bool is_carried = in->length > 0;
  if (is_carried) {
    append(in, bytes, length);
    bytes = in->bytes;
    length = in->length;
  }
  size_t taken = 0, header = 0;
  while (client->stage != GONE) {
    uint64_t size = frame_size(bytes + taken, length - taken, &header);
    if (size == 0 || size > length - taken) break;
    take_frame(load, client, bytes + taken, header, size, handle);
    taken += size;
  }
  if (is_carried) {
    memmove(in->bytes, in->bytes + taken, length - taken);
    in->length = length - taken;
  } else append(in, bytes + taken, length - taken);
}
