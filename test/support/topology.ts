import type { Topology } from "@wellsent/amqp";

/** Several topologies as one. */
export function join(...parts: Partial<Topology>[]): Topology {
  return {
    exchanges: parts.flatMap(({ exchanges = [] }) => exchanges),
    queues: parts.flatMap(({ queues = [] }) => queues),
    bindings: parts.flatMap(({ bindings = [] }) => bindings),
  };
}
