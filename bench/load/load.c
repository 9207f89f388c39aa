// A WebSocket load generator for fan-out, on Linux and the loopback only; bench/load/README.md has its options.
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <signal.h>
#include <unistd.h>

static void allow_many_files(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/** One token a line, so that each client shows its own and no cache of a server helps. */
static void read_tokens(struct load *load) {
  if (load->options.tokens_file == NULL) return;
  FILE *file = fopen(load->options.tokens_file, "r");
  if (file == NULL) fail("cannot read %s", load->options.tokens_file);
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, file)) > 0) {
    line[strcspn(line, "\n")] = 0;
    load->tokens = realloc(load->tokens, sizeof *load->tokens * (size_t)(load->token_count + 1));
    load->tokens[load->token_count++] = strdup(line);
  }
  free(line);
  fclose(file);
}

static void place_clients(struct load *load) {
  const struct options *o = &load->options;
  load->total = o->members + (o->everybody ? 0 : o->rooms);
  load->clients = calloc((size_t)load->total, sizeof *load->clients);
  load->rooms = calloc((size_t)o->rooms, sizeof *load->rooms);
  int slow = (int)(o->slow_share * o->members);
  for (int n = 0; n < load->total; n++) {
    struct client *client = &load->clients[n];
    client->index = n;
    client->is_publisher = n >= o->members;
    client->room = client->is_publisher ? n - o->members : n % o->rooms;
    client->port_index = (client->is_publisher ? client->room : n / o->rooms) % o->port_count;
    // Evenly among the others: a server that visits members in order meets them all along the way.
    client->is_slow = !client->is_publisher && (int64_t)(n + 1) * slow / o->members > (int64_t)n * slow / o->members;
    if (o->everybody) client->last_of = calloc((size_t)o->members, sizeof *client->last_of);
    if (client->is_publisher) load->rooms[client->room].publisher_port = client->port_index;
    else if (!client->is_slow) load->rooms[client->room].readers++;
  }
  for (int n = 0; n < o->rooms; n++) {
    if (o->everybody) load->rooms[n].readers--;
    if (load->rooms[n].readers == 0) fail("room %d has nobody who reads", n);
  }
}

static void open_loop(struct load *load) {
  load->epoll = epoll_create1(EPOLL_CLOEXEC);
  load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
  if (load->epoll < 0 || load->timer < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->timer, &event) != 0)
    fail("no epoll");
}

static void settle(struct load *load) {
  uint64_t until_ns = clock_ns() + (uint64_t)(load->options.settle_s * 1e9);
  while (clock_ns() < until_ns) poll_once(load, 10);
}

int main(int count, char **words) {
  static struct load load;
  struct options *o = &load.options;
  read_options(o, count, words);
  signal(SIGPIPE, SIG_IGN);
  // Ends by itself whatever happens: SIGALRM is not handled.
  alarm((unsigned)o->limit_s);
  allow_many_files();
  read_tokens(&load);
  place_clients(&load);
  open_loop(&load);

  load.rss_before_kib = rss_kib(o->pids, o->pid_count);
  connect_all(&load);
  settle(&load);
  load.rss_joined_kib = load.rss_peak_kib = rss_kib(o->pids, o->pid_count);
  if (o->run_s > 0) run(&load);
  load.rss_end_kib = rss_kib(o->pids, o->pid_count);
  if (o->slow_share > 0) catch_up(&load);
  return report(&load) ? 0 : 4;
}
