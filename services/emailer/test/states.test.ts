import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { Trouble } from "../src/relay/classify.ts";
import { Circuit, type Opening } from "../src/relay/states.ts";

const PAUSE_MS = 1_000;
const TROUBLE: Trouble = { reason: "down", throttled: false, authRefused: false };
const BY_PROBE: Opening = { ...TROUBLE, byMail: false };
const BY_MAIL: Opening = { ...TROUBLE, byMail: true };

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe("Circuit", () => {
  it("is closed at first, admits every mail and probes nothing", async () => {
    const { circuit, probes } = setUp();

    expect([circuit.state, circuit.admits, circuit.trouble]).toEqual(["closed", true, undefined]);
    expect([circuit.enter(), circuit.enter()]).toEqual([false, false]);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(probes).toEqual([]);
  });

  it("admits no mail while it is open, and reports the reason once", () => {
    const { circuit, switched } = setUp();

    expect(circuit.open(BY_PROBE, false)).toBe(true);
    expect(circuit.open({ ...BY_PROBE, reason: "still down" }, false)).toBe(false);

    expect([circuit.state, circuit.admits]).toEqual(["open", false]);
    expect(circuit.trouble?.reason).toBe("still down");
    expect(switched).toEqual(["down"]);
  });

  it("closes when a probe succeeds, if no mail opened it", async () => {
    const { circuit, switched } = setUp();
    circuit.open(BY_PROBE, false);

    await jest.advanceTimersByTimeAsync(PAUSE_MS - 1);
    expect(circuit.state).toBe("open");
    await jest.advanceTimersByTimeAsync(1);

    expect([circuit.state, circuit.trouble]).toEqual(["closed", undefined]);
    expect(switched).toEqual(["down", undefined]);
  });

  it.each([
    ["a mail opened it", [BY_MAIL]],
    ["a mail met trouble after a probe had opened it", [BY_PROBE, BY_MAIL]],
    ["a mail had opened it before a probe failed", [BY_MAIL, BY_PROBE]],
  ])("becomes half-open when a probe succeeds, if %s", async (_, openings) => {
    const { circuit, halfOpened } = setUp();
    for (const opening of openings) circuit.open(opening, false);

    await jest.advanceTimersByTimeAsync(PAUSE_MS);

    expect([circuit.state, circuit.admits, halfOpened()]).toEqual(["half-open", true, 1]);
  });

  it("admits one mail while it is half-open, and closes when that shows that the relay works", async () => {
    const { circuit, switched } = await halfOpen();

    expect([circuit.enter(), circuit.state, circuit.admits]).toEqual([true, "trial", false]);
    circuit.close();

    expect(circuit.state).toBe("closed");
    expect(switched).toEqual(["down", undefined]);
  });

  it("opens again when the trial meets trouble", async () => {
    const { circuit } = await halfOpen();
    circuit.enter();

    circuit.open({ ...BY_MAIL, reason: "again" }, true);

    expect([circuit.state, circuit.trouble?.reason]).toEqual(["open", "again"]);
  });

  it("keeps its trial when another mail meets trouble meanwhile", async () => {
    const { circuit } = await halfOpen();
    circuit.enter();

    circuit.open({ ...BY_MAIL, reason: "of another mail" }, false);

    expect([circuit.state, circuit.trouble?.reason]).toEqual(["trial", "of another mail"]);
  });

  it("opens when a mail of before meets trouble while it is half-open", async () => {
    const { circuit } = await halfOpen();

    circuit.open(BY_MAIL, false);

    expect(circuit.state).toBe("open");
  });

  it("admits another mail after a trial that told nothing", async () => {
    const { circuit, halfOpened } = await halfOpen();
    circuit.enter();

    circuit.leave();

    expect([circuit.state, halfOpened()]).toEqual(["half-open", 2]);
  });

  it.each(["closed", "open"])("ignores the end of a trial while it is %s", (state) => {
    const { circuit, halfOpened } = setUp();
    if (state === "open") circuit.open(BY_MAIL, false);

    circuit.leave();

    expect([circuit.state, halfOpened()]).toEqual([state, 0]);
  });

  it.each([
    [false, [1, 3, 7, 11, 15, 19]],
    [true, [1, 3, 7, 15, 25, 35]],
  ])(
    "doubles the pause up to a limit; the relay asks for less mail: %s",
    async (throttled, times) => {
      const { circuit, probes, probe } = setUp();
      probe.trouble = { ...TROUBLE, throttled };
      const from = Date.now();
      circuit.open({ ...BY_PROBE, throttled }, false);

      await jest.advanceTimersByTimeAsync(36 * PAUSE_MS);

      expect(probes.slice(0, 6).map((at) => (at - from) / PAUSE_MS)).toEqual(times);
    },
  );

  it("begins with the first pause again after it was closed for long enough, and not before", async () => {
    const { circuit, probes, probe } = setUp();
    const pauses: number[] = [];
    for (const closedMs of [0, 100, 60_000]) {
      await jest.advanceTimersByTimeAsync(closedMs);
      const from = Date.now();
      probe.trouble = TROUBLE;
      circuit.open(BY_PROBE, false);
      const before = probes.length;
      while (probes.length === before) await jest.advanceTimersByTimeAsync(100);
      pauses.push(((probes.at(-1) ?? 0) - from) / PAUSE_MS);
      circuit.close();
    }

    expect(pauses).toEqual([1, 4, 1]);
  });

  it("takes a probe that throws for one that failed", async () => {
    const { circuit, probe } = setUp();
    probe.error = new Error("a bug");
    circuit.open(BY_PROBE, false);

    await jest.advanceTimersByTimeAsync(PAUSE_MS);

    expect([circuit.state, circuit.trouble?.reason]).toEqual(["open", "the probe failed"]);
    probe.error = undefined;
    await jest.advanceTimersByTimeAsync(2 * PAUSE_MS);
    expect(circuit.state).toBe("closed");
  });

  it("probes no more once the emailer stops", async () => {
    const { circuit, probes, ending } = setUp();
    circuit.open(BY_PROBE, false);

    ending.abort();
    await jest.advanceTimersByTimeAsync(60_000);

    expect(probes).toEqual([]);
  });
});

function setUp() {
  const probes: number[] = [];
  const switched: (string | undefined)[] = [];
  const probe: { trouble: Trouble | undefined; error: Error | undefined } = {
    trouble: undefined,
    error: undefined,
  };
  let halfOpened = 0;
  const ending = new AbortController();
  const circuit = new Circuit({
    pauseMs: PAUSE_MS,
    ending: ending.signal,
    probe: () => {
      probes.push(Date.now());
      return probe.error ? Promise.reject(probe.error) : Promise.resolve(probe.trouble);
    },
    onSwitch: (reason) => switched.push(reason),
    onHalfOpen: () => (halfOpened += 1),
  });
  return { circuit, probes, probe, switched, ending, halfOpened: () => halfOpened };
}

async function halfOpen() {
  const all = setUp();
  all.circuit.open(BY_MAIL, false);
  await jest.advanceTimersByTimeAsync(PAUSE_MS);
  return all;
}
