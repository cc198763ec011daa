/** A random generator whose numbers are the same for the same seed. */
export interface Random {
  /** Returns a number from 0 to below 1. */
  next: () => number;
  /** Returns a whole number from `least` to `most`, both included. */
  whole: (least: number, most: number) => number;
  /** Returns true with the probability `share`, from 0 to 1. */
  chance: (share: number) => boolean;
  /** Returns one of the elements; the list must not be empty. */
  pick: <T>(from: readonly T[]) => T;
  shuffle: <T>(all: readonly T[]) => T[];
  /** Returns another generator. Its numbers do not depend on how many are drawn from this one afterwards. */
  fork: () => Random;
}

/** Creates a generator (mulberry32) from a seed, of which the lower 32 bits count. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    whole,
    chance: (share) => next() < share,
    pick: (from) => from[whole(0, from.length - 1)] as (typeof from)[number],
    shuffle: (all) => {
      const rest = [...all];
      return all.map(() => rest.splice(whole(0, rest.length - 1), 1)[0] as (typeof all)[number]);
    },
    fork: () => seeded(whole(0, 2 ** 32 - 1)),
  };
}
