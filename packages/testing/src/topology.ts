import type { Topology } from "@wellsent/amqp";

/** Returns one topology with the exchanges, queues and bindings of all. */
export function joinTopologies(...parts: Partial<Topology>[]): Topology {
  return {
    exchanges: parts.flatMap(({ exchanges = [] }) => exchanges),
    queues: parts.flatMap(({ queues = [] }) => queues),
    bindings: parts.flatMap(({ bindings = [] }) => bindings),
  };
}
