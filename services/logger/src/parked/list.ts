import { deliveryIdSchema, domainSchema } from "@wellsent/contract";
import * as z from "zod";
import type { Ledger } from "../ledger.ts";

const IDS_MAX = 10_000;
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
/** A hundred years: more than any record has, and less than dates can tell. */
const AGE_MAX_SECONDS = 3_155_760_000;

/** n.b. not `z.coerce`, which makes 0 of null and of nothing, and so a filter that lets everything through. */
const seconds = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], "must be a number of seconds")
  .pipe(z.number().min(0).max(AGE_MAX_SECONDS));

/** The hexadecimal digits of a UUID have no case (RFC 9562 §4). */
const idSchema = z.string().toLowerCase().pipe(deliveryIdSchema);

const filter = {
  reason: z.string().max(100).optional().describe("Why they were parked, such as `SENDER_REFUSED`"),
  domain: domainSchema.optional().describe("What follows the @ of their recipients, all of it"),
  olderThan: seconds.optional().describe("Parked so many seconds ago, or earlier"),
};

/** Which page of the list is asked for. */
export const pageSchema = z.strictObject({
  ...filter,
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  cursor: z.string().max(200).default("").describe("`next` of the page before"),
});

const namesOne = (selection: object) => Object.keys(selection).length === 1;
const namesAny = (filter: object) => Object.keys(filter).length > 0;

/** Which deliveries a pass is for: one of the three. */
export const selectionSchema = z
  .strictObject({
    ids: z.array(idSchema).min(1).max(IDS_MAX).optional(),
    filter: z
      .strictObject(filter)
      .refine(namesAny, "must name something; `all` selects everything")
      .optional(),
    all: z.literal(true).optional(),
  })
  .refine(namesOne, "must have one of `ids`, `filter` and `all`");

/** One of {@link selectionSchema}. */
export type Selection = z.output<typeof selectionSchema>;
type Page = z.output<typeof pageSchema>;
type Filter = NonNullable<Selection["filter"]>;

const PARKED = `FROM deliveries WHERE kind = 'email.parked' AND (?1 IS NULL OR reason = ?1)
  AND (?2 IS NULL OR substr(recipient, -length(?2)) = ?2) AND time <= ?3`;
const COUNT = `SELECT count(*) AS count ${PARKED}`;
const IDS = `SELECT id ${PARKED}`;
const PAGE = `SELECT id AS delivery, recipient, reason, reply, attempt, relay, time,
  possible_duplicate = 1 AS possibleDuplicate ${PARKED} AND (time, id) > (?4, ?5) ORDER BY time, id LIMIT ?6`;
const ONE = "SELECT id FROM deliveries WHERE kind = 'email.parked' AND id = ?";

/** Where the list is kept, and what recipients end in there. */
export interface ListOptions {
  ledger: Ledger;
  ending: (domain: string) => string;
}

/** A page of what is parked, oldest first, with the number of all. @throws {TransientError} LEDGER_BROKEN */
export function listParked({ ledger, ending }: ListOptions, { limit, cursor, ...which }: Page) {
  const [time = "", id = ""] = cursor.split(" ");
  const parked = ledger.rows(PAGE, ...valuesOf(which, ending), time, id, limit);
  const last = parked.length === limit ? parked.at(-1) : undefined;
  const next = last ? `${String(last["time"])} ${String(last["delivery"])}` : null;
  const [total] = ledger.rows(COUNT, ...valuesOf(which, ending));
  return { parked, next, total: total?.["count"] };
}

/** Whether a delivery is one of a selection. n.b. whatever is selected, the ledger decides over it. @throws {TransientError} LEDGER_BROKEN */
export function selects({ ledger, ending }: ListOptions, { all, ids, filter = {} }: Selection) {
  ledger.assertWhole();
  if (all) return () => true;
  const found = () => ledger.rows(IDS, ...valuesOf(filter, ending)).map(({ id }) => String(id));
  const wanted = new Set(ids ?? found());
  return (delivery: string): boolean => wanted.has(delivery);
}

/** Whether a delivery is parked. @throws {TransientError} LEDGER_BROKEN */
export function isParked(ledger: Ledger, delivery: string): boolean {
  return ledger.rows(ONE, delivery).length > 0;
}

function valuesOf({ reason, domain, olderThan = 0 }: Filter, ending: ListOptions["ending"]) {
  const before = new Date(Date.now() - olderThan * 1_000).toISOString();
  return [reason ?? null, domain === undefined ? null : ending(domain), before] as const;
}
