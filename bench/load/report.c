// One JSON object on stdout.
#include "load.h"
#include <stdio.h>

static void print_latency(const char *name, const struct histogram *h) {
  printf(",\"%s\":", name);
  if (h->total == 0) {
    printf("null");
    return;
  }
  printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}", (double)percentile(h, .5) / 1e6,
         (double)percentile(h, .99) / 1e6, (double)percentile(h, .999) / 1e6, (double)h->max / 1e6);
}

static void print_totals(uint64_t sent, uint64_t owed, uint64_t received, const struct load *load) {
  printf(",\"sent\":%llu,\"owed\":%llu,\"received\":%llu", (unsigned long long)sent, (unsigned long long)owed,
         (unsigned long long)received);
  printf(",\"received_over_sent\":%.9g", owed > 0 ? (double)received / (double)owed : 1);
  printf(",\"lost\":%llu,\"disordered\":%llu,\"echoed\":%llu,\"foreign\":%llu", (unsigned long long)load->lost,
         (unsigned long long)load->disordered, (unsigned long long)load->echoed, (unsigned long long)load->foreign);
  printf(",\"closed\":%llu,\"slow_closed\":%llu", (unsigned long long)load->closed,
         (unsigned long long)load->slow_closed);
}

/** Whether each reading member got each message of its room once and in order, and nobody was closed. */
bool report(const struct load *load) {
  const struct options *o = &load->options;
  const struct measured *m = &load->measured;
  uint64_t sent = 0, owed = 0, received = 0;
  for (int n = 0; n < o->rooms; n++) {
    sent += load->rooms[n].sent;
    owed += load->rooms[n].sent * (uint64_t)load->rooms[n].readers;
    received += load->rooms[n].received;
  }
  printf("{\"clients\":%d,\"members\":%d,\"rooms\":%d,\"size\":%d,\"window\":%d,\"rate\":%g", load->total, o->members,
         o->rooms, o->size, o->rate > 0 ? 0 : o->window, o->rate);
  printf(",\"connect_s\":%.3f,\"connects_per_s\":%.0f,\"cpu_us_per_connect\":%.2f", load->connect_s,
         load->total / load->connect_s, load->connect_cpu_s * 1e6 / load->total);
  printf(",\"rss_kib_per_client\":%.3f,\"rss_before_mib\":%.2f,\"rss_joined_mib\":%.2f,\"rss_peak_mib\":%.2f",
         (double)(load->rss_joined_kib - load->rss_before_kib) / load->total, (double)load->rss_before_kib / 1024,
         (double)load->rss_joined_kib / 1024, (double)load->rss_peak_kib / 1024);
  printf(",\"rss_end_mib\":%.2f", (double)load->rss_end_kib / 1024);
  if (m->seconds > 0) {
    printf(",\"seconds\":%.3f,\"published_per_s\":%.1f,\"deliveries_per_s\":%.0f", m->seconds,
           (double)m->published / m->seconds, (double)m->deliveries / m->seconds);
    printf(",\"cpu_us_per_delivery\":%.4f,\"server_cores\":%.3f,\"generator_cores\":%.3f",
           m->deliveries > 0 ? m->cpu_s * 1e6 / (double)m->deliveries : -1, m->cpu_s / m->seconds,
           m->generator_cpu_s / m->seconds);
  }
  print_latency("latency", &load->latency);
  print_latency("cross_latency", &load->cross_latency);
  print_totals(sent, owed, received, load);
  bool is_sound = owed == received && load->lost == 0 && load->disordered == 0 && load->echoed == 0 &&
                  load->foreign == 0 && load->closed == 0;
  printf(",\"sound\":%s}\n", is_sound ? "true" : "false");
  return is_sound;
}
