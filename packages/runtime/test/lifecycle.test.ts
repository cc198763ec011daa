import { describe, expect, it } from "@jest/globals";
import { createLifecycle, type Component } from "../src/lifecycle.ts";
import { createFakeLog } from "@wellsent/testing";

const LONG_MS = 60_000;
const SHORT_MS = 50;

/** A component that records its calls. */
function component(name: string, done: string[], overrides: Partial<Component> = {}): Component {
  return {
    name,
    start: () => {
      done.push(`start ${name}`);
    },
    stop: () => {
      done.push(`stop ${name}`);
    },
    ...overrides,
  };
}

const never = () => new Promise<void>(() => undefined);

describe("createLifecycle: start", () => {
  it("starts each component when the one before it has started", async () => {
    const done: string[] = [];
    const slow = component("slow", done, {
      start: async () => {
        done.push("start slow");
        await new Promise(setImmediate);
        done.push("slow started");
      },
    });

    await createLifecycle(createFakeLog(), LONG_MS).start([slow, component("next", done)]);

    expect(done).toStrictEqual(["start slow", "slow started", "start next"]);
  });

  it("rejects with the error of the component that did not start, and starts no further one", async () => {
    const done: string[] = [];
    const error = new Error("no");
    const broken = component("broken", done, { start: () => Promise.reject(error) });
    const lifecycle = createLifecycle(createFakeLog(), LONG_MS);

    await expect(lifecycle.start([broken, component("next", done)])).rejects.toBe(error);
    expect(done).toStrictEqual([]);
  });

  it("starts no further component once stop was called", async () => {
    const done: string[] = [];
    const lifecycle = createLifecycle(createFakeLog(), LONG_MS);
    const first = component("first", done, {
      start: () => {
        void lifecycle.stop("test");
      },
    });

    await lifecycle.start([first, component("next", done)]);
    await lifecycle.stop("test");

    expect(done).toStrictEqual(["stop first"]);
  });

  it("does not log its start when it was stopped meanwhile", async () => {
    const log = createFakeLog();
    const lifecycle = createLifecycle(log, LONG_MS);
    const last = component("last", [], {
      start: async () => {
        await lifecycle.stop("test");
      },
    });

    await lifecycle.start([last]);

    expect(log.lines.map(({ message }) => message)).toStrictEqual(["stopping", "stopped"]);
  });
});

describe("createLifecycle: stop", () => {
  it("stops in reverse order, each when the one before it has stopped", async () => {
    const done: string[] = [];
    const slow = component("slow", done, {
      stop: async () => {
        await new Promise(setImmediate);
        done.push("slow stopped");
      },
    });
    const lifecycle = createLifecycle(createFakeLog(), LONG_MS);
    await lifecycle.start([component("first", done), slow]);

    expect(await lifecycle.stop("test")).toBe(true);
    expect(done.slice(2)).toStrictEqual(["slow stopped", "stop first"]);
  });

  it("stops each component once when stop is called again", async () => {
    const done: string[] = [];
    const lifecycle = createLifecycle(createFakeLog(), LONG_MS);
    await lifecycle.start([component("only", done)]);

    const answers = await Promise.all([lifecycle.stop("a"), lifecycle.stop("b")]);

    expect(answers).toStrictEqual([true, true]);
    expect(await lifecycle.stop("c")).toBe(true);
    expect(done).toStrictEqual(["start only", "stop only"]);
  });

  it("stops the others when the stop of one fails, and resolves to false", async () => {
    const done: string[] = [];
    const log = createFakeLog();
    const broken = component("broken", done, { stop: () => Promise.reject(new Error("secret")) });
    const worse = component("worse", done, {
      stop: () => {
        throw new Error("secret");
      },
    });
    const lifecycle = createLifecycle(log, LONG_MS);
    await lifecycle.start([component("first", done), broken, worse]);

    expect(await lifecycle.stop("test")).toBe(false);
    expect(done).toContain("stop first");
    expect(log.lines.filter(({ level }) => level === "error")).toMatchObject([
      { component: "worse" },
      { component: "broken" },
    ]);
    expect(JSON.stringify(log.lines)).not.toContain("secret");
  });

  it("stops the others after the deadline when one hangs, and resolves to false", async () => {
    const done: string[] = [];
    const hanging = component("hanging", done, { stop: never });
    const lifecycle = createLifecycle(createFakeLog(), SHORT_MS);
    await lifecycle.start([component("first", done), hanging]);

    expect(await lifecycle.stop("test")).toBe(false);
    expect(done).toContain("stop first");
  });

  it("aborts the signal at the deadline, and resolves to false when a component stops after it", async () => {
    const obedient = component("obedient", [], {
      stop: (signal) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            resolve();
          });
        }),
    });
    const lifecycle = createLifecycle(createFakeLog(), SHORT_MS);
    await lifecycle.start([obedient]);

    expect(await lifecycle.stop("test")).toBe(false);
  });

  it("has one deadline for all components together", async () => {
    const aborted: boolean[] = [];
    const note = (signal: AbortSignal) => {
      aborted.push(signal.aborted);
    };
    const lifecycle = createLifecycle(createFakeLog(), SHORT_MS);
    await lifecycle.start([
      component("first", [], { stop: note }),
      component("hanging", [], { stop: never }),
      component("last", [], { stop: note }),
    ]);

    await lifecycle.stop("test");

    expect(aborted).toStrictEqual([false, true]);
  });

  it("stops a component whose start has not ended", async () => {
    const done: string[] = [];
    const lifecycle = createLifecycle(createFakeLog(), LONG_MS);
    void lifecycle.start([component("starting", done, { start: never })]);

    expect(await lifecycle.stop("test")).toBe(true);
    expect(done).toStrictEqual(["stop starting"]);
  });

  it("is clean when nothing was started", async () => {
    expect(await createLifecycle(createFakeLog(), LONG_MS).stop("test")).toBe(true);
  });
});
