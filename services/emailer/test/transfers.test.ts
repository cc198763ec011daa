import { describe, expect, it } from "@jest/globals";
import { Transfers } from "../src/delivery/transfers.ts";

function setUp() {
  const clock = { ms: 0 };
  const transfers = new Transfers(() => clock.ms);
  return { clock, transfers, channel: new AbortController() };
}

describe("Transfers", () => {
  it("takes one copy of a delivery at a time", () => {
    const { transfers, channel } = setUp();

    expect([transfers.enter("d"), transfers.enter("d")]).toEqual([true, false]);
    transfers.begin("d", channel.signal);
    expect(transfers.enter("d")).toBe(false);
    expect(transfers.leave("d")).toBe(true);
    expect(transfers.enter("d")).toBe(true);
  });

  it("tells whether a relay had the mail", () => {
    const { transfers } = setUp();
    transfers.enter("d");

    expect(transfers.leave("d")).toBe(false);
  });

  it("names the transfers that take longer than a second, and all of them on demand", () => {
    const { transfers, channel, clock } = setUp();
    transfers.enter("waiting");
    transfers.begin("slow", channel.signal);
    clock.ms = 1_000;
    transfers.begin("new", channel.signal);

    expect(transfers.inFlight()).toEqual(["slow"]);
    expect(transfers.inFlight(0)).toEqual(["slow", "new"]);
  });

  it("reports once when the channel of its messages is lost", () => {
    const { transfers, channel } = setUp();
    let losses = 0;
    transfers.onLost(() => (losses += 1));
    for (const delivery of ["a", "b", "c"]) transfers.begin(delivery, channel.signal);

    channel.abort();
    expect(losses).toBe(1);
    transfers.begin("d", channel.signal);
    expect(losses).toBe(2);
  });
});
