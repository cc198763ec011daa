import { amqpParts, AmqpConnection, Consumer, FlowControl, Publisher } from "@wellsent/amqp";
import { createService, runMain } from "@wellsent/runtime";
import { attemptQueues, EMAILER_QUEUE, ladder, topology } from "@wellsent/contract";
import { Brake } from "./control/pause.ts";
import { loadConfig } from "./config.ts";
import { Guard } from "./delivery/guard.ts";
import { createHandler } from "./delivery/handle-delivery.ts";
import { createEmailerMetrics } from "./metrics.ts";
import { Relays } from "./relay/relays.ts";
import { takeLadder } from "./control/apply-ladder.ts";

/** Splitting an email to 50 and recording outcomes, for every delivery in flight, with room to spare. */
const PUBLISH_WINDOW = 2_000;

runMain((host) => {
  const config = loadConfig(host.env);
  const { seconds } = config.ladder;
  const common = topology(config.amqp.articleExchange);
  // The ladder's bindings are taken by the consumer, less what another schedule left.
  const declared = { ...common, queues: [...common.queues, ...ladder(seconds).queues] };
  const service = createService("emailer", config, host);
  const { log, registry, program } = service;
  const amqp = amqpParts(service, config, declared);
  const flow = new FlowControl();
  const metrics = createEmailerMetrics(registry, () => flow.paused);

  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const consuming = new AmqpConnection({ ...amqp, purpose: "consume" });
  const publisher = new Publisher({ ...amqp, connection: publishing, windowSize: PUBLISH_WINDOW });

  const ending = new AbortController();
  const relays = new Relays({
    relays: config.relays,
    ending: ending.signal,
    onDown: () => flow.pause("relays"),
    onUp: () => flow.resume("relays"),
    metrics,
    log,
  });
  const asking = { waitMs: config.guardWaitMs, ending: ending.signal };
  const guard = new Guard({ ...amqp, ...asking, connection: publishing });
  const handle = createHandler({
    ...config.ladder,
    sender: config.mail,
    publisher,
    send: (mail, options) => relays.send(mail, options),
    ask: (query, signal, afterMs) => guard.ask(query, signal, afterMs),
    metrics,
    log,
  });
  const consumer = new Consumer({
    ...amqp,
    connection: consuming,
    queues: [EMAILER_QUEUE, ...attemptQueues(seconds.length)],
    // What became of deliveries whose connection was lost is said before the broker hands them over again.
    prepare: async (channel) => {
      await publisher.settled();
      return takeLadder(channel, seconds);
    },
    budget: config.prefetch,
    budgetBytes: config.inFlightBytes,
    handle,
    flow,
  });
  const brake = new Brake({ ...amqp, connection: consuming, flow, metrics });
  // Stopped first: what waits for a relay in trouble, or an answer, goes back to the broker rather than hold up the drain.
  const waiting = { name: "waiting", stop: () => ending.abort() };
  const checks = [publishing.check, consuming.check, consumer.check, ...relays.checks, brake.check];

  // Started left to right, stopped right to left.
  const components = [publishing, consuming, publisher, guard, relays, brake, consumer, waiting];
  return program(checks, components);
});
