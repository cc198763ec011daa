import type { Query } from "@posthorn/contract";

/** Several times what emailers can have in their hands. */
const REMEMBERED = 20_000;

/** Tells whether another asker has asked about the same attempt before: then there are two copies of a message. */
export function createTwins(): (query: Query) => boolean {
  const askers = new Map<string, string>();
  return ({ delivery, attempt, asker }) => {
    if (attempt === undefined || asker === undefined) return false;
    const key = `${delivery}#${attempt}`;
    const first = askers.get(key) ?? asker;
    askers.set(key, first);
    const [oldest] = askers.keys();
    if (askers.size > REMEMBERED && oldest !== undefined) askers.delete(oldest);
    return first !== asker;
  };
}
