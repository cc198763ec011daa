import { describe, expect, it } from "@jest/globals";
import { FlowControl } from "../src/flow-control.ts";

/** A flow, and the calls of its subscriber. */
function watched() {
  const flow = new FlowControl();
  const told: string[] = [];
  flow.subscribe({
    onPause: () => told.push("pause"),
    onResume: () => told.push("resume"),
    onRelease: () => told.push("release"),
  });
  return { flow, told };
}

describe("FlowControl", () => {
  it("pauses with its first holder and resumes with its last", () => {
    const { flow, told } = watched();

    flow.pause("relays");
    flow.pause("operator");
    flow.resume("relays");
    expect([flow.paused, told]).toEqual([true, ["pause"]]);

    flow.resume("operator");
    expect([flow.paused, told]).toEqual([false, ["pause", "resume"]]);
  });

  it("counts a holder once that pauses several times", () => {
    const { flow, told } = watched();

    flow.pause("disk");
    flow.pause("disk");
    flow.resume("disk");

    expect([flow.paused, told]).toEqual([false, ["pause", "resume"]]);
  });

  it("ignores a holder that resumes without having paused", () => {
    const { flow, told } = watched();

    flow.resume("disk");
    flow.pause("operator");
    flow.resume("disk");

    expect([flow.paused, told]).toEqual([true, ["pause"]]);
  });

  it("calls subscribers in order when a holder pauses and resumes at once", () => {
    const { flow, told } = watched();

    flow.pause("relays");
    flow.resume("relays");

    expect(told).toEqual(["pause", "resume"]);
  });

  it("passes a release on while paused and while not paused", () => {
    const { flow, told } = watched();

    flow.release();
    flow.pause("operator");
    flow.release();

    expect(told).toEqual(["release", "pause", "release"]);
  });

  it("is paused by a pause before the first subscription", () => {
    const flow = new FlowControl();
    flow.pause("operator");

    expect(flow.paused).toBe(true);
  });
});
