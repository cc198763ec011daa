import { afterEach, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { startProxy, type Proxy } from "../../packages/amqp/test/proxy.ts";
import { allReady, emailNumber, startSystem, type System } from "../support/system.ts";
import { waitFor } from "@wellsent/testing";

let system: System;
let proxy: Proxy;

afterEach(async () => {
  await system.stop();
  await proxy.close();
});

it("consumes again once its outcomes of before the disconnect are confirmed", async () => {
  system = await startSystem({ delayMs: 1_000 });
  await allReady(system);
  proxy = await startProxy(system.amqp);
  await system.services.emailer.end("SIGTERM");
  await system.restart("emailer", { AMQP_URL: proxy.url });
  await system.services.emailer.ready();
  const outcome = Promise.withResolvers<undefined>();
  const seen = { outcomes: 0, consumes: 0, declares: 0 };
  proxy.meddle(async (method, frame) => {
    if (method === "basic.consume" && frame.includes("\x07emailer")) seen.consumes += 1;
    // What is declared last, for the consumer alone.
    if (frame.includes("emailer.wait.2s")) seen.declares += 1;
    if (method === "60.40" && frame.includes("email.sent")) {
      seen.outcomes += 1;
      await outcome.promise;
    }
    return "pass" as const;
  });

  await system.send(emailNumber(1));
  await waitFor("the final dot at the relay", () => system.sink.received.size);
  proxy.refuse(true);
  proxy.cut();
  await waitFor("the relay's 250", () => system.sink.taken.length);
  proxy.refuse(false);
  await waitFor("the outcome, held up", () => seen.outcomes, 20_000);
  await waitFor("the consumer's channel", () => seen.declares, 20_000);
  await sleep(1_000);

  expect(seen.consumes).toBe(0);
  outcome.resolve(undefined);
  await waitFor("consuming", () => seen.consumes, 20_000);
  expect(await system.audited("email.sent", 1)).toMatchObject([{ possibleDuplicate: false }]);
  expect(system.sink.taken).toHaveLength(1);
});
