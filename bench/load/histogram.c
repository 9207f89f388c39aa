#include "load.h"

static int bucket_of(uint64_t value) {
  if (value < STEPS) return (int)value;
  int shift = 63 - __builtin_clzll(value) - STEPS_LOG2;
  return (shift + 1) * STEPS + (int)((value >> shift) & (STEPS - 1));
}

/** The middle of what a bucket holds. */
static uint64_t value_of(int bucket) {
  if (bucket < STEPS) return (uint64_t)bucket;
  int shift = bucket / STEPS - 1;
  return ((uint64_t)(STEPS + bucket % STEPS) << shift) + (((uint64_t)1 << shift) >> 1);
}

void record(struct histogram *histogram, uint64_t value) {
  histogram->counts[bucket_of(value)]++;
  histogram->total++;
  if (value > histogram->max) histogram->max = value;
}

uint64_t percentile(const struct histogram *histogram, double share) {
  uint64_t rank = (uint64_t)(share * (double)histogram->total);
  uint64_t seen = 0;
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    seen += histogram->counts[bucket];
    if (seen > rank) {
      uint64_t value = value_of(bucket);
      return value < histogram->max ? value : histogram->max;
    }
  }
  return histogram->max;
}
