import type { Registry } from "prom-client";
import { meter } from "@wellsent/runtime";

const HELP = {
  wellsent_amqp_connection_up: "1 while the connection to the broker is open",
  wellsent_amqp_connection_blocked:
    "1 while the broker blocks the connection because of a memory or disk alarm",
  wellsent_amqp_connects_total: "Connections established to the broker",
  wellsent_amqp_publishes_total: "Messages published, by result: confirmed, or the error code",
  wellsent_amqp_publishes_in_flight: "Messages published and not yet confirmed",
  wellsent_amqp_publish_duration_seconds: "Time from publishing a message to its confirm",
  wellsent_amqp_deliveries_total: "Deliveries by settlement: ack, reject, leave or lost",
  wellsent_amqp_deliveries_in_flight: "Deliveries received and not yet settled",
  wellsent_amqp_delivery_bytes_in_flight: "Bytes of the message bodies of deliveries in flight",
};
const PUBLISH_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** The AMQP metrics of a service. The labels are names from our topology, so their number is bounded. */
export type AmqpMetrics = ReturnType<typeof createAmqpMetrics>;

/** Registers the AMQP metrics of a service. */
export function createAmqpMetrics(registry: Registry) {
  const { counter, gauge, histogram } = meter(registry, HELP);
  return {
    up: gauge("wellsent_amqp_connection_up", "purpose"),
    blocked: gauge("wellsent_amqp_connection_blocked", "purpose"),
    connects: counter("wellsent_amqp_connects_total", "purpose"),
    publishes: counter("wellsent_amqp_publishes_total", "exchange", "result"),
    publishesInFlight: gauge("wellsent_amqp_publishes_in_flight"),
    publishSeconds: histogram("wellsent_amqp_publish_duration_seconds", PUBLISH_BUCKETS),
    deliveries: counter("wellsent_amqp_deliveries_total", "queue", "settled"),
    deliveriesInFlight: gauge("wellsent_amqp_deliveries_in_flight"),
    deliveryBytesInFlight: gauge("wellsent_amqp_delivery_bytes_in_flight"),
  };
}
