import { describe, expect, it } from "@jest/globals";
import { FlowControl } from "../src/flow-control.ts";

/** A flow, and the calls of its subscriber. */
function watched() {
  const flow = new FlowControl();
  const calls: string[] = [];
  flow.subscribe({
    onPause: () => calls.push("pause"),
    onResume: () => calls.push("resume"),
    onRelease: () => calls.push("release"),
  });
  return { flow, calls };
}

describe("FlowControl", () => {
  it("pauses with its first holder and resumes with its last", () => {
    const { flow, calls } = watched();

    flow.pause("relays");
    flow.pause("operator");
    flow.resume("relays");
    expect([flow.paused, calls]).toEqual([true, ["pause"]]);

    flow.resume("operator");
    expect([flow.paused, calls]).toEqual([false, ["pause", "resume"]]);
  });

  it("counts a holder once that pauses several times", () => {
    const { flow, calls } = watched();

    flow.pause("disk");
    flow.pause("disk");
    flow.resume("disk");

    expect([flow.paused, calls]).toEqual([false, ["pause", "resume"]]);
  });

  it("ignores a holder that resumes without having paused", () => {
    const { flow, calls } = watched();

    flow.resume("disk");
    flow.pause("operator");
    flow.resume("disk");

    expect([flow.paused, calls]).toEqual([true, ["pause"]]);
  });

  it("calls subscribers in order when a holder pauses and resumes at once", () => {
    const { flow, calls } = watched();

    flow.pause("relays");
    flow.resume("relays");

    expect(calls).toEqual(["pause", "resume"]);
  });

  it("passes a release on while paused and while not paused", () => {
    const { flow, calls } = watched();

    flow.release();
    flow.pause("operator");
    flow.release();

    expect(calls).toEqual(["release", "pause", "release"]);
  });

  it("is paused by a pause before the first subscription", () => {
    const flow = new FlowControl();
    flow.pause("operator");

    expect(flow.paused).toBe(true);
  });
});
