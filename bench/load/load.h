// The load generator: one thread, one epoll, so that what is measured is the server.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_PIDS = 64, MAX_PORTS = 16 };

struct options {
  int ports[MAX_PORTS], port_count;
  int pids[MAX_PIDS], pid_count;
  int members, rooms;   // members are spread evenly; each room has one publisher beside them
  int window;           // messages in flight a room (closed loop), unless rate is set
  double rate;          // messages a second in all rooms together (open loop)
  int everybody;        // every member publishes, and there are no publishers beside them; window is then a member's
  int size;             // bytes of padding in each content
  int dialing;          // connects under way at once
  double slow_share;    // of the members, who never read once they have joined
  double warm_s, run_s, settle_s, limit_s;
  // What the server under test wants to hear. %ROOM% %SEQ% %T% %PAD% %TOKEN% are filled in.
  const char *path, *hello, *ready, *join, *joined, *message, *ping, *pong, *tokens_file;
};

struct buffer {
  uint8_t *bytes;
  size_t length, capacity, taken;
};

enum stage { DIALED, GREETED, JOINING, JOINED, GONE };

struct client {
  int fd, index, room, port_index;
  bool is_publisher, is_slow, wants_write;
  enum stage stage;
  uint64_t last_seq, received;
  // Where everybody speaks: what it has said, how often that was received, and the last that it had of each member.
  uint64_t sent, delivered, *last_of;
  struct buffer in, fragments, out;
};

/** Log-linear: 64 steps to each power of two, so a value is at most 1.6 % off. */
enum { STEPS_LOG2 = 6, STEPS = 1 << STEPS_LOG2, BUCKETS = (64 - STEPS_LOG2 + 1) * STEPS };
struct histogram {
  uint64_t counts[BUCKETS], total, max;
};

struct room {
  uint64_t sent, received;
  int readers; // members that read, so that a delivery is owed to each; where everybody speaks, but for one
  int publisher_port;
};

struct measured {
  uint64_t deliveries, published;
  double seconds, cpu_s, generator_cpu_s;
};

struct load {
  struct options options;
  struct client *clients;
  struct room *rooms;
  int total, epoll, timer;
  int next_dial, dialing, joined;
  char **tokens;
  int token_count;
  bool is_measuring;
  bool is_catching_up; // the slow members read again, when all is over
  uint64_t now_ns;
  uint64_t deliveries, published;                  // while measuring
  uint64_t lost, disordered, echoed, foreign;      // faults of the server
  uint64_t closed, slow_closed;
  struct histogram latency, cross_latency;         // cross: publisher and member on different ports
  double connect_s, connect_cpu_s;
  struct measured measured;
  long rss_before_kib, rss_joined_kib, rss_peak_kib, rss_end_kib;
};

// options.c
void read_options(struct options *options, int count, char **words);
void fill(struct buffer *into, const char *template, int room, uint64_t seq, uint64_t stamp_ns, int pad,
          const char *token);

// buffer.c
void append(struct buffer *buffer, const void *bytes, size_t length);
void append_padding(struct buffer *buffer, size_t length);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

// histogram.c
void record(struct histogram *histogram, uint64_t value);
uint64_t percentile(const struct histogram *histogram, double share);

// process.c
uint64_t clock_ns(void);
double cpu_seconds(const int *pids, int count);
double own_cpu_seconds(void);
long rss_kib(const int *pids, int count);

// frames.c
enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
typedef void on_frame(struct load *load, struct client *client, enum opcode opcode, uint8_t *payload, size_t length);
void queue_frame(struct client *client, enum opcode opcode, const void *payload, size_t length);
void take_frames(struct load *load, struct client *client, uint8_t *bytes, size_t length, on_frame *handle);

// client.c
void connect_all(struct load *load);
void poll_once(struct load *load, int timeout_ms);
void flush_out(struct load *load, struct client *client);
void catch_up(struct load *load);

// deliveries.c
void take_message(struct load *load, struct client *client, uint8_t *payload, size_t length);

// publish.c
void run(struct load *load);
bool all_received(const struct load *load);

// report.c
bool report(const struct load *load);
