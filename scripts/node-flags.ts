/**
 * V8 measures its heap by the machine's memory: on a large one it lets garbage pile up to hundreds of megabytes.
 * A young generation of 3 × 8 MB, and an old one that is collected when it has grown by half, hold what a service needs.
 */
export const NODE_FLAGS: readonly string[] = [
  "--max-semi-space-size=8",
  "--heap-growing-percent=50",
];
