import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the AMQP side of a service counts. Labels are exchanges, queues and purposes of our topology: bounded. */
export type AmqpMetrics = ReturnType<typeof createAmqpMetrics>;

/** Creates the AMQP metrics in a service's registry. */
export function createAmqpMetrics(registry: Registry) {
  const registers = [registry];
  return {
    up: new Gauge({
      name: "posthorn_amqp_connection_up",
      help: "1 while the connection to the broker stands",
      labelNames: ["purpose"],
      registers,
    }),
    blocked: new Gauge({
      name: "posthorn_amqp_connection_blocked",
      help: "1 while the broker blocks the connection because of a memory or disk alarm",
      labelNames: ["purpose"],
      registers,
    }),
    connects: new Counter({
      name: "posthorn_amqp_connects_total",
      help: "Connections to the broker that were established",
      labelNames: ["purpose"],
      registers,
    }),
    publishes: new Counter({
      name: "posthorn_amqp_publishes_total",
      help: "Messages published, by the broker's answer: confirmed, or the code of what happened instead",
      labelNames: ["exchange", "result"],
      registers,
    }),
    publishesInFlight: new Gauge({
      name: "posthorn_amqp_publishes_in_flight",
      help: "Messages published and not yet confirmed",
      registers,
    }),
    publishSeconds: new Histogram({
      name: "posthorn_amqp_publish_duration_seconds",
      help: "Time from publishing a message to the broker's confirm",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    deliveries: new Counter({
      name: "posthorn_amqp_deliveries_total",
      help: "Deliveries by how they were settled: ack, reject, or lost with their channel",
      labelNames: ["queue", "settled"],
      registers,
    }),
    deliveriesInFlight: new Gauge({
      name: "posthorn_amqp_deliveries_in_flight",
      help: "Deliveries received and not yet settled",
      registers,
    }),
  };
}
