import { type Random } from "@wellsent/testing";
import type { Fault } from "./faults.ts";

/** Faults of the other kinds beside one kill of each process. */
const OTHERS_A_ROUND = 6;
/** How often a second fault strikes while the first one lasts. */
const TOGETHER = 0.15;

/** Gives, without end, what strikes next: one fault, or two at a time. `kills`: of each process, in several ways. */
export function* createSchedule(
  kills: readonly (readonly Fault[])[],
  others: readonly Fault[],
  random: Random,
): Generator<Fault[], never> {
  const deal = dealer(others, random);
  for (;;) {
    const more = Array.from({ length: OTHERS_A_ROUND }, deal);
    for (const fault of random.shuffle([...kills.map((ways) => random.pick(ways)), ...more])) {
      const second = random.chance(TOGETHER) ? [deal()] : [];
      yield [fault, ...second.filter((each) => each !== fault)];
    }
  }
}

/** Each once before any comes again. */
function dealer(all: readonly Fault[], random: Random): () => Fault {
  let deck: Fault[] = [];
  return () => {
    if (deck.length === 0) deck = random.shuffle(all);
    const next = deck.pop();
    if (!next) throw new Error("there is no fault to deal");
    return next;
  };
}
