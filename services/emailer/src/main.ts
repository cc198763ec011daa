import { amqpParts, AmqpConnection, Consumer, FlowControl, Publisher } from "@wellsent/amqp";
import { createService, runMain } from "@wellsent/runtime";
import { attemptQueues, EMAILER_QUEUE, ladder, topology } from "@wellsent/contract";
import { Pause } from "./control/pause.ts";
import { loadConfig } from "./config.ts";
import { Guard } from "./delivery/guard.ts";
import { createHandler } from "./delivery/handle-delivery.ts";
import { Transfers } from "./delivery/transfers.ts";
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
  const transfers = new Transfers();
  const guard = new Guard({ ...amqp, ...asking, connection: publishing, transfers });
  const pause = new Pause({ ...amqp, connection: consuming, flow, metrics });
  const handle = createHandler({
    ...config.ladder,
    sender: config.mail,
    publisher,
    send: (mail, options) => relays.send(mail, options),
    guard,
    transfers,
    pause,
    metrics,
    log,
  });
  const consumer = new Consumer({
    ...amqp,
    connection: consuming,
    queues: [EMAILER_QUEUE, ...attemptQueues(seconds.length)],
    // The outcomes of messages whose connection was lost are confirmed before the broker delivers those messages again.
    prepare: async (channel) => {
      await publisher.settled();
      return takeLadder(channel, seconds);
    },
    budget: config.prefetch,
    budgetBytes: config.inFlightBytes,
    handle,
    flow,
  });
  // Stopped first: messages that wait for a relay or an answer are left to the broker, so that they do not delay the drain.
  const waiting = { name: "waiting", stop: () => ending.abort() };
  const checks = [publishing.check, consuming.check, consumer.check, ...relays.checks, pause.check];

  // Started left to right, stopped right to left.
  const components = [publishing, consuming, publisher, guard, relays, pause, consumer, waiting];
  return program(checks, components);
});
