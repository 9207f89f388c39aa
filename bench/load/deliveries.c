// Reconciles what arrives with what was sent: each message once, in order, at each member of its room.
#define _GNU_SOURCE
#include "load.h"
#include <string.h>

/** How every content begins; the sequence number and the time of sending follow. */
static const char SEQ_MARK[] = "{\"s\":", TIME_MARK[] = ",\"t\":";
enum { SEQ_LENGTH = sizeof SEQ_MARK - 1, TIME_LENGTH = sizeof TIME_MARK - 1 };

static uint8_t *digits(uint8_t *at, const uint8_t *end, uint64_t *value) {
  *value = 0;
  for (; at < end && *at >= '0' && *at <= '9'; at++) *value = *value * 10 + (uint64_t)(*at - '0');
  return at;
}

/** Envelopes of one server look alike, so the mark mostly stands where it stood in the last one. */
static uint8_t *find_content(uint8_t *line, const uint8_t *end) {
  static size_t last_place;
  size_t length = (size_t)(end - line);
  if (last_place + SEQ_LENGTH <= length && memcmp(line + last_place, SEQ_MARK, SEQ_LENGTH) == 0)
    return line + last_place;
  uint8_t *found = memmem(line, length, SEQ_MARK, SEQ_LENGTH);
  if (found != NULL) last_place = (size_t)(found - line);
  return found;
}

static void check_order(struct load *load, struct client *client, uint64_t seq) {
  if (seq <= client->last_seq) {
    load->disordered++;
    return;
  }
  load->lost += seq - client->last_seq - 1;
  client->last_seq = seq;
}

static void take_line(struct load *load, struct client *client, uint8_t *line, const uint8_t *end) {
  uint8_t *content = find_content(line, end);
  if (content == NULL) return; // an answer, a welcome
  uint64_t seq, sent_ns = 0;
  uint8_t *after = digits(content + SEQ_LENGTH, end, &seq);
  if (end - after > TIME_LENGTH && memcmp(after, TIME_MARK, TIME_LENGTH) == 0)
    digits(after + TIME_LENGTH, end, &sent_ns);
  if (client->is_publisher) {
    load->echoed++;
    return;
  }
  struct room *room = &load->rooms[client->room];
  if (seq > room->sent) {
    load->foreign++;
    return;
  }
  check_order(load, client, seq);
  client->received++;
  room->received++;
  if (!load->is_measuring) return;
  load->deliveries++;
  uint64_t latency = load->now_ns > sent_ns ? load->now_ns - sent_ns : 0;
  record(&load->latency, latency);
  if (client->port_index != room->publisher_port) record(&load->cross_latency, latency);
}

/** A frame may hold several messages, one a line: gorilla's tutorial joins what is queued. */
void take_message(struct load *load, struct client *client, uint8_t *payload, size_t length) {
  uint8_t *end = payload + length;
  while (payload < end) {
    uint8_t *line_end = memchr(payload, '\n', (size_t)(end - payload));
    if (line_end == NULL) line_end = end;
    take_line(load, client, payload, line_end);
    payload = line_end + 1;
  }
}
