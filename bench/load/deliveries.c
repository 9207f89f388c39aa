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

static void check_order(struct load *load, uint64_t *last_seq, uint64_t seq) {
  if (seq <= *last_seq) {
    load->disordered++;
    return;
  }
  load->lost += seq - *last_seq - 1;
  *last_seq = seq;
}

/** What was sent in a room where everybody speaks: checked against its sender. */
static bool take_from_member(struct load *load, struct client *client, uint64_t seq) {
  uint64_t members = (uint64_t)load->options.members, number = seq / members;
  struct client *sender = &load->clients[seq % members];
  if (sender == client) load->echoed++;
  else if (sender->room != client->room || number == 0 || number > sender->sent) load->foreign++;
  else {
    check_order(load, &client->last_of[sender->index], number);
    sender->delivered++;
    return true;
  }
  return false;
}

static bool take_from_publisher(struct load *load, struct client *client, uint64_t seq) {
  if (client->is_publisher) load->echoed++;
  else if (seq > load->rooms[client->room].sent) load->foreign++;
  else {
    check_order(load, &client->last_seq, seq);
    return true;
  }
  return false;
}

static void take_line(struct load *load, struct client *client, uint8_t *line, const uint8_t *end) {
  uint8_t *content = find_content(line, end);
  if (content == NULL) return; // an answer, a welcome
  uint64_t seq, sent_ns = 0;
  uint8_t *after = digits(content + SEQ_LENGTH, end, &seq);
  if (end - after > TIME_LENGTH && memcmp(after, TIME_MARK, TIME_LENGTH) == 0)
    digits(after + TIME_LENGTH, end, &sent_ns);
  struct room *room = &load->rooms[client->room];
  if (!(load->options.everybody ? take_from_member : take_from_publisher)(load, client, seq)) return;
  client->received++;
  room->received++;
  if (!load->is_measuring) return;
  load->deliveries++;
  uint64_t latency = load->now_ns > sent_ns ? load->now_ns - sent_ns : 0;
  record(&load->latency, latency);
  if (!load->options.everybody && client->port_index != room->publisher_port) record(&load->cross_latency, latency);
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
