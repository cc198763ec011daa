export { amqpParts } from "./parts.ts";
export { AmqpConnection } from "./connection.ts";
export { Consumer, type Delivery, type Settlement } from "./consumer.ts";
export { declare, type Topology } from "./declare.ts";
export { createAmqpMetrics, type AmqpMetrics } from "./metrics.ts";
export type { Publication } from "./publication.ts";
export { Publisher } from "./publisher.ts";
export { copyOf, isForged, shortString } from "./republish.ts";
export { Session, type ConfirmChannel, type SessionOptions } from "./session.ts";
