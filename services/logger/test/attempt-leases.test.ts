import { describe, expect, it } from "@jest/globals";
import { LEASE_MS } from "@wellsent/contract";
import { AttemptLeases } from "../src/intake/attempt-leases.ts";

const delivery = "01a20b8d-d48b-7f92-9d4e-d5c21d5c7759.0.0";

const FREE = { leased: false, possibleDuplicate: false };
const LEASED = { leased: true, possibleDuplicate: false };
const DOUBTFUL = { leased: false, possibleDuplicate: true };

function setUp() {
  const clock = { ms: 1 };
  const leases = new AttemptLeases(() => clock.ms);
  return {
    pass: (ms: number) => (clock.ms += ms),
    look: (holder: string, lateMs = 0) => leases.tryAcquire({ delivery, holder }, lateMs),
    acquire: (holder: string, lateMs = 0) =>
      leases.tryAcquire({ delivery, holder, acquire: true }, lateMs),
    renew: (holder: string) => leases.apply({ holder, held: [delivery], released: [] }),
    release: (holder: string) => leases.apply({ holder, held: [], released: [delivery] }),
    end: () => leases.end(delivery),
    ask: () => leases.tryAcquire({ delivery }),
  };
}

describe("a lease", () => {
  it("is granted to one emailer at a time, however often it asks", () => {
    const { acquire, look } = setUp();

    expect([acquire("a"), acquire("a"), acquire("b"), look("b")]).toEqual([
      FREE,
      FREE,
      LEASED,
      LEASED,
    ]);
  });

  it("is not granted by a look, nor to somebody without a name", () => {
    const { look, acquire, ask } = setUp();

    expect([look("a"), ask(), acquire("b"), ask()]).toEqual([FREE, FREE, FREE, FREE]);
  });

  it("lapses without a renewal, and the next holder is told that a relay may have the mail", () => {
    const { acquire, pass, look } = setUp();
    acquire("a");

    pass(LEASE_MS);
    expect(look("b")).toEqual(LEASED);
    pass(1);
    expect([look("b"), acquire("b"), acquire("b")]).toEqual([DOUBTFUL, DOUBTFUL, DOUBTFUL]);
  });

  it("lives as long as it is renewed, also when it was never asked for", () => {
    const { renew, pass, look } = setUp();

    for (let second = 0; second < 60; second += 1) {
      renew("a");
      pass(1_000);
      expect(look("b")).toEqual(LEASED);
    }
  });

  it("is the holder's whose relay has the mail, whoever was granted it", () => {
    const { acquire, renew } = setUp();
    acquire("b");

    renew("a");

    expect(acquire("b")).toEqual(LEASED);
  });

  it("is judged as of the moment of asking when the logger was slow", () => {
    const { renew, pass, acquire } = setUp();
    renew("a");

    pass(LEASE_MS + 30_000);

    expect(acquire("b", 30_500)).toEqual(LEASED);
    expect(acquire("b", 100)).toEqual(DOUBTFUL);
  });

  it("ends with the outcome, which leaves no doubt", () => {
    const { acquire, end, pass } = setUp();
    acquire("a");
    pass(LEASE_MS + 1);
    acquire("b");

    end();

    expect(acquire("c")).toEqual(FREE);
  });

  it("is not renewed by a message that was published before the outcome", () => {
    const { renew, end, look, acquire, pass } = setUp();
    renew("a");
    end();

    renew("a");
    expect(look("b")).toEqual(FREE);
    expect(acquire("a")).toEqual(FREE);
    renew("a");
    pass(LEASE_MS - 1);
    expect(look("b")).toEqual(LEASED);
  });

  it("leaves no doubt when it is released without an attempt", () => {
    const { acquire, release, look } = setUp();
    acquire("a");

    release("b");
    expect(look("b")).toEqual(LEASED);
    release("a");
    expect(look("b")).toEqual(FREE);
  });

  it("leaves the doubt about an earlier holder when it is released", () => {
    const { acquire, release, look, pass } = setUp();
    acquire("a");
    pass(LEASE_MS + 1);
    acquire("b");

    release("b");

    expect(look("c")).toEqual(DOUBTFUL);
  });
});
