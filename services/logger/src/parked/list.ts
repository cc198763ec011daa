import { deliveryIdSchema, domainSchema } from "@wellsent/contract";
import type { Ledger, ParkedFilter } from "@wellsent/ledger";
import * as z from "zod";

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

/** The ledger, and how the recipients of a domain end as they are recorded. */
export interface ListOptions {
  ledger: Pick<Ledger, "assertWhole" | "listParked" | "parkedIds">;
  ending: (domain: string) => string;
}

/** A page of parked deliveries, oldest first, with the number of all. @throws {TransientError} LEDGER_BROKEN */
export async function listParked(
  { ledger, ending }: ListOptions,
  { limit, cursor, ...which }: Page,
) {
  const [time = "", id = ""] = cursor.split(" ");
  const { parked, total } = await ledger.listParked(filterOf(which, ending), [time, id], limit);
  const last = parked.length === limit ? parked.at(-1) : undefined;
  const next = last ? `${last.time} ${last.delivery}` : null;
  return { parked, next, total };
}

/**
 * Resolves to whether a delivery is in a selection. The ledger decides over each one that is.
 * @throws {TransientError} LEDGER_BROKEN
 */
export async function selects({ ledger, ending }: ListOptions, selection: Selection) {
  const { all, ids, filter = {} } = selection;
  ledger.assertWhole();
  if (all) return () => true;
  const wanted = new Set(ids ?? (await ledger.parkedIds(filterOf(filter, ending))));
  return (delivery: string): boolean => wanted.has(delivery);
}

function filterOf(filter: Filter, endingOf: ListOptions["ending"]): ParkedFilter {
  const { reason, domain, olderThan = 0 } = filter;
  const before = new Date(Date.now() - olderThan * 1_000).toISOString();
  return { reason, ending: domain === undefined ? undefined : endingOf(domain), before };
}
