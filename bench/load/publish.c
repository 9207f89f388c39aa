// Sends: a closed loop with a window a room, or an open one at a rate.
#define _GNU_SOURCE
#include "load.h"
#include <string.h>
#include <sys/timerfd.h>

static const uint64_t SECOND = 1000000000u, RSS_EVERY_NS = 200000000u;

/** The publisher of a room; where everybody speaks, the member. */
static struct client *publisher_of(struct load *load, int turn) {
  return &load->clients[load->options.everybody ? turn : load->options.members + turn];
}

static int publishers(const struct load *load) {
  return load->options.everybody ? load->options.members : load->options.rooms;
}

/** Where everybody speaks, the number tells the member, too. */
static uint64_t next_seq(struct load *load, struct client *publisher) {
  uint64_t in_room = ++load->rooms[publisher->room].sent, own = ++publisher->sent;
  return load->options.everybody ? own * (uint64_t)load->options.members + (uint64_t)publisher->index : in_room;
}

static void publish(struct load *load, struct client *publisher, uint64_t stamp_ns) {
  static struct buffer text;
  if (publisher->stage == GONE) fail("the server closed the publisher of room %d", publisher->room);
  text.length = 0;
  fill(&text, load->options.message, publisher->room, next_seq(load, publisher), stamp_ns, load->options.size, "");
  queue_frame(publisher, TEXT, text.bytes, text.length);
  if (load->is_measuring) load->published++;
}

/** Fills every room's window up, or every member's where everybody speaks; a message is out of it when the members have it, taken as a mean. */
static void publish_windows(struct load *load) {
  for (int n = 0; n < publishers(load); n++) {
    struct client *publisher = publisher_of(load, n);
    struct room *room = &load->rooms[publisher->room];
    uint64_t received = load->options.everybody ? publisher->delivered : room->received;
    uint64_t before = publisher->sent, until = received / (uint64_t)room->readers + (uint64_t)load->options.window;
    while (publisher->sent < until) publish(load, publisher, clock_ns());
    if (publisher->sent > before) flush_out(load, publisher);
  }
}

/** Latency counts from when a message was due: a generator that is late hides nothing. */
static void publish_due(struct load *load, uint64_t started_ns, uint64_t *turn) {
  double interval_ns = 1e9 / load->options.rate;
  for (;;) {
    uint64_t due_ns = started_ns + (uint64_t)((double)*turn * interval_ns);
    if (due_ns > clock_ns()) {
      struct itimerspec at = { .it_value = { (time_t)(due_ns / SECOND), (long)(due_ns % SECOND) } };
      timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &at, NULL);
      return;
    }
    struct client *publisher = publisher_of(load, (int)(*turn % (uint64_t)publishers(load)));
    publish(load, publisher, due_ns);
    flush_out(load, publisher);
    (*turn)++;
  }
}

static void watch_rss(struct load *load) {
  static uint64_t next_ns;
  uint64_t now = clock_ns();
  if (now < next_ns) return;
  next_ns = now + RSS_EVERY_NS;
  long rss = rss_kib(load->options.pids, load->options.pid_count);
  if (rss > load->rss_peak_kib) load->rss_peak_kib = rss;
}

static void begin_measuring(struct load *load, struct measured *at) {
  at->cpu_s = cpu_seconds(load->options.pids, load->options.pid_count);
  at->generator_cpu_s = own_cpu_seconds();
  at->seconds = (double)clock_ns() / 1e9;
  load->is_measuring = true;
}

static void end_measuring(struct load *load, const struct measured *at) {
  load->is_measuring = false;
  load->measured = (struct measured){
    .deliveries = load->deliveries,
    .published = load->published,
    .seconds = (double)clock_ns() / 1e9 - at->seconds,
    .cpu_s = cpu_seconds(load->options.pids, load->options.pid_count) - at->cpu_s,
    .generator_cpu_s = own_cpu_seconds() - at->generator_cpu_s,
  };
}

bool all_received(const struct load *load) {
  for (int n = 0; n < load->options.rooms; n++) {
    const struct room *room = &load->rooms[n];
    if (room->received < room->sent * (uint64_t)room->readers) return false;
  }
  return true;
}

/** What is on its way still arrives; a server that has been silent for 3 s has lost it. */
static void drain(struct load *load) {
  uint64_t received = 0, silent_since_ns = clock_ns();
  while (!all_received(load) && load->closed == 0 && clock_ns() - silent_since_ns < 3 * SECOND) {
    poll_once(load, 10);
    uint64_t sum = 0;
    for (int n = 0; n < load->options.rooms; n++) sum += load->rooms[n].received;
    if (sum > received) silent_since_ns = clock_ns();
    received = sum;
  }
  // One more look: what comes beyond is a duplicate.
  uint64_t until_ns = clock_ns() + SECOND / 10;
  while (clock_ns() < until_ns) poll_once(load, 10);
}

void run(struct load *load) {
  const struct options *o = &load->options;
  struct measured at = { 0 };
  uint64_t started_ns = clock_ns(), turn = 0;
  uint64_t measure_ns = started_ns + (uint64_t)(o->warm_s * 1e9), end_ns = measure_ns + (uint64_t)(o->run_s * 1e9);
  for (uint64_t now = started_ns; now < end_ns; now = clock_ns()) {
    if (!load->is_measuring && now >= measure_ns) begin_measuring(load, &at);
    if (o->rate > 0) publish_due(load, started_ns, &turn);
    else publish_windows(load);
    watch_rss(load);
    poll_once(load, 10);
  }
  end_measuring(load, &at);
  drain(load);
}
