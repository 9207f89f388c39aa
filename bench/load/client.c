// Sockets: dial, upgrade, greet, join, read.
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, EVENTS = 512, SLOW_RECEIVE_BYTES = 32 << 10 };

static bool is_reading(const struct load *load, const struct client *client) {
  return !client->is_slow || client->stage != JOINED || load->is_catching_up;
}

static void watch(struct load *load, struct client *client, int operation) {
  uint32_t reading = is_reading(load, client) ? EPOLLIN : 0;
  uint32_t writing = client->wants_write ? EPOLLOUT : 0;
  struct epoll_event event = { .events = reading | writing | EPOLLRDHUP, .data.ptr = client };
  if (epoll_ctl(load->epoll, operation, client->fd, &event) != 0) fail("epoll: %s", strerror(errno));
}

static void leave(struct load *load, struct client *client) {
  if (client->stage != JOINED) fail("the server closed client %d before it had joined", client->index);
  close(client->fd);
  client->stage = GONE;
  if (client->is_slow) load->slow_closed++;
  else load->closed++;
}

void flush_out(struct load *load, struct client *client) {
  struct buffer *out = &client->out;
  bool is_full = false;
  while (out->taken < out->length && !is_full) {
    ssize_t written = write(client->fd, out->bytes + out->taken, out->length - out->taken);
    if (written >= 0) out->taken += (size_t)written;
    else if (errno == EAGAIN) is_full = true;
    else {
      leave(load, client);
      return;
    }
  }
  if (!is_full) out->taken = out->length = 0;
  if (is_full == client->wants_write) return;
  client->wants_write = is_full;
  watch(load, client, EPOLL_CTL_MOD);
}

static void say(struct load *load, struct client *client, const char *template) {
  static struct buffer text;
  text.length = 0;
  const char *token = load->token_count > 0 ? load->tokens[client->index % load->token_count] : "";
  fill(&text, template, client->room, 0, 0, 0, token);
  queue_frame(client, TEXT, text.bytes, text.length);
  flush_out(load, client);
}

static void join(struct load *load, struct client *client) {
  client->stage = JOINING;
  say(load, client, load->options.join);
}

static void greet(struct load *load, struct client *client) {
  const struct options *o = &load->options;
  client->stage = GREETED;
  if (o->hello != NULL) say(load, client, o->hello);
  if (o->ready == NULL) join(load, client);
}

static bool holds(const uint8_t *payload, size_t length, const char *text) {
  return text != NULL && memmem(payload, length, text, strlen(text)) != NULL;
}

static void on_joined(struct load *load, struct client *client) {
  client->stage = JOINED;
  load->joined++;
  load->dialing--;
  if (client->is_slow) watch(load, client, EPOLL_CTL_MOD);
}

static void on_text(struct load *load, struct client *client, uint8_t *payload, size_t length) {
  const struct options *o = &load->options;
  if (o->ping != NULL && length == strlen(o->ping) && memcmp(payload, o->ping, length) == 0) {
    say(load, client, o->pong);
  } else if (client->stage == GREETED && length >= strlen(o->ready) &&
             memcmp(payload, o->ready, strlen(o->ready)) == 0) {
    join(load, client);
  } else if (client->stage == JOINING && holds(payload, length, o->joined)) {
    on_joined(load, client);
  } else take_message(load, client, payload, length);
}

static void on_message(struct load *load, struct client *client, enum opcode opcode, uint8_t *payload,
                       size_t length) {
  if (opcode == TEXT || opcode == BINARY) on_text(load, client, payload, length);
  else if (opcode == PING) {
    queue_frame(client, PONG, payload, length);
    flush_out(load, client);
  } else if (opcode == CLOSE) leave(load, client);
}

/** The answer to the upgrade may come in pieces, and may have frames behind it. */
static void take_upgrade(struct load *load, struct client *client, const uint8_t *bytes, size_t length) {
  static uint8_t rest[READ_BYTES];
  append(&client->in, bytes, length);
  uint8_t *end = memmem(client->in.bytes, client->in.length, "\r\n\r\n", 4);
  if (end == NULL) return;
  if (memcmp(client->in.bytes, "HTTP/1.1 101", 12) != 0)
    fail("client %d was refused: %.*s", client->index, 120, (char *)client->in.bytes);
  size_t head = (size_t)(end + 4 - client->in.bytes), behind = client->in.length - head;
  if (behind > sizeof rest) fail("too much behind an upgrade");
  memcpy(rest, client->in.bytes + head, behind);
  client->in.length = 0;
  greet(load, client);
  if (behind > 0) take_frames(load, client, rest, behind, on_message);
}

static void read_some(struct load *load, struct client *client) {
  static uint8_t bytes[READ_BYTES];
  ssize_t length = read(client->fd, bytes, sizeof bytes);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    leave(load, client);
    return;
  }
  // One clock for all that a read brings: it has arrived by now.
  load->now_ns = clock_ns();
  // What a slow reader finds at last is owed to nobody; only the end of it tells something.
  if (load->is_catching_up && client->is_slow) return;
  if (client->stage == DIALED) take_upgrade(load, client, bytes, (size_t)length);
  else take_frames(load, client, bytes, (size_t)length, on_message);
}

void poll_once(struct load *load, int timeout_ms) {
  struct epoll_event events[EVENTS];
  int count = epoll_wait(load->epoll, events, EVENTS, timeout_ms);
  for (int n = 0; n < count; n++) {
    struct client *client = events[n].data.ptr;
    uint32_t what = events[n].events;
    if (client == NULL) {
      uint64_t expirations;
      if (read(load->timer, &expirations, sizeof expirations) < 0) continue;
      continue;
    }
    if (client->stage == GONE) continue;
    if (what & EPOLLOUT) flush_out(load, client);
    if (client->stage == GONE) continue;
    if (!(what & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))) continue;
    if (is_reading(load, client)) read_some(load, client);
    else leave(load, client);
  }
}

static void set_up_socket(struct client *client) {
  int yes = 1, bytes = SLOW_RECEIVE_BYTES;
  struct linger abortively = { .l_onoff = 1, .l_linger = 0 };
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client->fd < 0) fail("socket: %s (ulimit -n)", strerror(errno));
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  // Thousands of ports would else stay in TIME_WAIT, and the next run would feel them.
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &abortively, sizeof abortively);
  // Else the kernel alone would hold megabytes for each, and no server would notice in a short run.
  if (client->is_slow) setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static void dial(struct load *load, struct client *client) {
  static struct buffer request;
  int port = load->options.ports[client->port_index];
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  set_up_socket(client);
  if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
    fail("connect to port %d: %s", port, strerror(errno));
  request.length = 0;
  const char *token = load->token_count > 0 ? load->tokens[client->index % load->token_count] : "";
  append(&request, "GET ", 4);
  fill(&request, load->options.path, client->room, 0, 0, 0, token);
  char headers[256];
  int length = snprintf(headers, sizeof headers,
                        " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: cm9vbWNhc3QgYmVuY2htYQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", port);
  append(&request, headers, (size_t)length);
  if (write(client->fd, request.bytes, request.length) != (ssize_t)request.length) fail("upgrade not sent");
  fcntl(client->fd, F_SETFL, O_NONBLOCK);
  watch(load, client, EPOLL_CTL_ADD);
  load->dialing++;
}

/** Resolves when everybody has joined; no more than `dialing` are on their way at a time. */
void connect_all(struct load *load) {
  const struct options *o = &load->options;
  double cpu = cpu_seconds(o->pids, o->pid_count);
  uint64_t started_ns = clock_ns();
  while (load->joined < load->total) {
    while (load->next_dial < load->total && load->dialing < o->dialing) dial(load, &load->clients[load->next_dial++]);
    poll_once(load, 100);
  }
  load->connect_s = (double)(clock_ns() - started_ns) / 1e9;
  load->connect_cpu_s = cpu_seconds(o->pids, o->pid_count) - cpu;
}

/** Has the slow members read what there is: a server that cut one shows it only behind that. */
void catch_up(struct load *load) {
  load->is_catching_up = true;
  for (int n = 0; n < load->total; n++) {
    struct client *client = &load->clients[n];
    if (client->is_slow && client->stage == JOINED) watch(load, client, EPOLL_CTL_MOD);
  }
  uint64_t until_ns = clock_ns() + 1000000000u;
  while (clock_ns() < until_ns) poll_once(load, 10);
}
