import { afterEach, describe, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import {
  allReady,
  sendMany,
  startSystem,
  twice,
  type Name,
  type System,
} from "../support/system.ts";
import { waitFor } from "@wellsent/testing";

const COUNT = 600;
let system: System;

afterEach(() => system.stop());

describe("a service killed under load", () => {
  it.each<Name>(["emailer", "logger", "api"])(
    "loses nothing that was accepted when %s is killed with -9",
    async (name) => {
      system = await startSystem({ delayMs: 20 });
      await allReady(system);

      const sending = sendMany(system, COUNT, 16);
      for (let kill = 0; kill < 3; kill += 1) {
        await sleep(300);
        await system.services[name].end("SIGKILL");
        await system.restart(name);
      }
      const accepted = (await sending)
        .filter((answer) => answer.status === 202)
        .map((answer) => answer.id ?? "");
      await endedAll(accepted);

      const taken = system.sink.taken.map((mail) => mail.messageId);
      expect(accepted.filter((id) => !taken.includes(id))).toEqual([]);
      const flagged = new Set(
        system
          .audit()
          .filter((line) => line.possibleDuplicate)
          .map((line) => line.id),
      );
      expect(twice(taken).filter((id) => !flagged.has(id))).toEqual([]);
      const recorded = new Set(
        system
          .audit()
          .filter((line) => line.kind === "email.accepted")
          .map((line) => line.id),
      );
      expect(accepted.filter((id) => !recorded.has(id))).toEqual([]);
      expect(twice(system.audit().map((line) => line.eventId))).toEqual([]);
    },
  );
});

describe("a service stopped with SIGTERM under load", () => {
  it.each<Name>(["emailer", "logger", "api"])(
    "exits with 0 and loses and doubles nothing: %s",
    async (name) => {
      system = await startSystem({ delayMs: 20 });
      await allReady(system);

      const sending = sendMany(system, COUNT, 16);
      await sleep(500);
      const code = await system.services[name].end("SIGTERM");
      await system.restart(name);
      const answers = await sending;
      const accepted = answers
        .filter((answer) => answer.status === 202)
        .map((answer) => answer.id ?? "");
      await endedAll(accepted);

      expect(code).toBe(0);
      expect(twice(system.sink.taken.map((mail) => mail.messageId))).toEqual([]);
      expect(system.sink.taken.filter((mail) => !accepted.includes(mail.messageId))).toEqual([]);
      expect(answers.filter((answer) => ![0, 202, 503].includes(answer.status))).toEqual([]);
      // A connection that was never made is no begun request. While a port closes, the kernel may also reset such a one.
      const broken = answers.filter(({ error, connected }) => error !== undefined && connected);
      expect(broken).toEqual([]);
    },
  );
});

async function endedAll(ids: readonly string[]): Promise<void> {
  const wanted = new Set(ids);
  await waitFor(
    `${ids.length} ends`,
    () => {
      const ended = system
        .audit()
        .filter((line) => line.kind === "email.sent" && wanted.has(line.id));
      return new Set(ended.map((line) => line.id)).size === wanted.size;
    },
    60_000,
  );
}
