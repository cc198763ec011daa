import {
  AmqpConnection,
  Consumer,
  createAmqpMetrics,
  createMetricsServer,
  createRegistry,
  Publisher,
  runMain,
} from "@posthorn/chassis";
import { attemptQueues, EMAILER_QUEUE, join, ladder, topology } from "@posthorn/contract";
import { loadConfig } from "./config.ts";
import { createHandler } from "./handle-delivery.ts";
import { createEmailerMetrics } from "./metrics.ts";
import { createRecorder } from "./outcomes.ts";
import { Relay } from "./relay.ts";

/** Splitting an email to 50 and recording outcomes, for every delivery in flight, with room to spare. */
const PUBLISH_WINDOW = 2_000;
const CONFIRM_MS = 10_000;

runMain(({ env, createLog, fail }) => {
  const config = loadConfig(env);
  const log = createLog("emailer", config.log);
  const registry = createRegistry("emailer");
  const amqpMetrics = createAmqpMetrics(registry);
  const metrics = createEmailerMetrics(registry);

  const declared = join(topology(config.amqp.articleExchange), ladder(config.ladder.seconds));
  const common = { service: "emailer", url: config.amqp.url, metrics: amqpMetrics, log };
  const publishing = new AmqpConnection({ ...common, purpose: "publish" });
  const consuming = new AmqpConnection({ ...common, purpose: "consume" });
  const amqp = { topology: declared, metrics: amqpMetrics, fail, log };

  const publisher = new Publisher({
    ...amqp,
    connection: publishing,
    windowSize: PUBLISH_WINDOW,
    timeoutMs: CONFIRM_MS,
  });
  const relay = new Relay({
    ...config.relay,
    onTrouble: () => {
      consumer.pause();
    },
    onWell: () => {
      consumer.resume();
    },
    onHeldTooLong: () => {
      void consumer.release();
    },
    metrics,
    log,
  });

  const handle = createHandler({
    ladder: config.ladder,
    sender: config.mail,
    publisher,
    record: createRecorder(publisher, metrics),
    send: (mail, signal) => relay.send(mail, signal),
    relay: relay.name,
    metrics,
    log,
  });
  const queues = [EMAILER_QUEUE, ...attemptQueues(config.ladder.seconds.length)];
  const consumer = new Consumer({
    ...amqp,
    connection: consuming,
    queues,
    budget: config.amqp.budget,
    handle,
  });
  const checks = [publishing.check, consuming.check, consumer.check, relay.check];
  const metricsServer = createMetricsServer({ ...config.metrics, registry, checks, log });
  // Stopped first: what waits for a relay in trouble goes back to the broker rather than hold up the drain.
  const waiting = {
    name: "waiting deliveries",
    start: () => undefined,
    stop: () => {
      relay.release();
    },
  };

  return {
    log,
    shutdownDeadlineMs: config.shutdownDeadlineMs,
    components: [metricsServer, publishing, consuming, publisher, relay, consumer, waiting],
  };
});
