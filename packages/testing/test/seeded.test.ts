import { describe, expect, it } from "@jest/globals";
import { seeded } from "../src/seeded.ts";

const draw = (seed: number) => {
  const random = seeded(seed);
  return Array.from({ length: 20 }, () => random.whole(0, 1_000_000));
};

describe("seeded", () => {
  it("gives the same numbers for the same seed and others for another", () => {
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it("draws whole numbers from the least to the most, both included", () => {
    const random = seeded(1);
    const drawn = new Set(Array.from({ length: 200 }, () => random.whole(3, 5)));

    expect([...drawn].sort()).toEqual([3, 4, 5]);
  });

  it("shuffles without losing or repeating an element", () => {
    const all = [1, 2, 3, 4, 5];

    expect(seeded(1).shuffle(all).sort()).toEqual(all);
    expect(all).toEqual([1, 2, 3, 4, 5]);
  });

  it("forks a generator that does not depend on what the first one draws afterwards", () => {
    const [one, other] = [seeded(1), seeded(1)];
    const [forked, alsoForked] = [one.fork(), other.fork()];
    one.next();

    expect(forked.next()).toBe(alsoForked.next());
  });
});
