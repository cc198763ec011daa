import { describe, expect, it } from "@jest/globals";
import type { Publication } from "@wellsent/amqp";
import { newId } from "@wellsent/contract";
import { toLine, type AuditLine } from "../src/audit/line.ts";
import { createDecide, type Action, type Parked } from "../src/parked/decide.ts";
import { auditLog, startLedger, temporaryDirectory } from "./support.ts";

const HOUR_MS = 3_600_000;
const EMAIL = "019ab000-0000-7000-8000-000000000001";
const never = new AbortController().signal;

async function setUp(...events: AuditLine[]) {
  const audit = auditLog(temporaryDirectory());
  const { ledger } = await startLedger(audit);
  await ledger.add(events);
  const published: Publication[] = [];
  const publishUntilConfirmed = (publication: Publication) => {
    published.push(publication);
    return Promise.resolve();
  };
  const decide = createDecide({ publisher: { publishUntilConfirmed }, ledger });
  return {
    ledger,
    audit,
    published,
    decide: (action: Action, message: Parked) => decide(action, message, never),
  };
}

/** An email's id that was made at a time. */
function idOf(time: number): string {
  const hex = time.toString(16).padStart(12, "0");
  return newId().replace(/^.{13}/, `${hex.slice(0, 8)}-${hex.slice(8)}`);
}

/** What is recorded of a delivery of {@link EMAIL}, so long ago. */
function event(kind: AuditLine["kind"], delivery = "0.0", agoMs = 0, email = EMAIL): AuditLine {
  return toLine(newId(), {
    kind,
    delivery: `${email}.${delivery}`,
    time: new Date(Date.now() - agoMs).toISOString(),
    possibleDuplicate: kind === "email.parked" && agoMs > 0,
  });
}

function parked({ headers = {}, doubtful = false, recipients = ["a@example.com"] } = {}): Parked {
  const body = { toaddr: recipients, subject: "s", body: "b" };
  const properties = {
    messageId: `${EMAIL}.0.0`,
    type: "email.v1",
    headers: { "x-parked-reason": "CRASHED", ...headers },
  };
  return {
    body: Buffer.from(JSON.stringify(body)),
    properties: properties as unknown as Parked["properties"],
    doubtful,
  };
}

describe("createDecide", () => {
  it("publishes the next generation, fresh, to emailer and logger at once", async () => {
    const { decide, published } = await setUp(event("email.accepted"), event("email.parked"));
    const headers = { traceparent: "t", "x-death": [{ count: 3 }], "x-maybe-duplicate": true };

    expect(await decide("replay", parked({ headers }))).toBe("done");

    expect(published).toEqual([
      expect.objectContaining({
        exchange: "emailer.entry",
        routingKey: "replay",
        messageId: `${EMAIL}.0.1`,
        headers: { traceparent: "t" },
        retryHeaders: { "x-maybe-duplicate": true },
      }),
    ]);
  });

  it.each([
    ["a pass died with it in hand", [event("email.parked")], true],
    ["a relay may have taken it before", [event("email.parked", "0.0", 1)], false],
  ])("marks the replay when %s", async (_, events, doubtful) => {
    const { decide, published } = await setUp(...events);

    await decide("replay", parked({ doubtful }));

    expect(published[0]?.headers).toEqual({ "x-maybe-duplicate": true });
  });

  it.each<[string, AuditLine[], string]>([
    ["sent", [event("email.parked"), event("email.sent")], "settled"],
    ["deleted", [event("email.parked"), event("email.deleted")], "settled"],
    ["in an emailer's hands", [event("email.accepted"), event("email.deferred")], "left"],
    ["replayed and sent", [event("email.replayed"), event("email.sent", "0.1")], "settled"],
    // The broker died when it had stored the emailer's copy of a replay and not the logger's.
    [
      "sent as a replay that is not recorded",
      [event("email.parked"), event("email.sent", "0.1")],
      "settled",
    ],
    ["replayed a moment ago", [event("email.replayed"), event("email.accepted", "0.1")], "left"],
    [
      "replayed an hour ago, and nothing was sent since",
      [event("email.replayed"), event("email.accepted", "0.1", HOUR_MS)],
      "left",
    ],
  ])("publishes nothing when it is %s", async (_, events, verdict) => {
    const { decide, published } = await setUp(...events);

    expect(await decide("replay", parked())).toBe(verdict);
    expect(await decide("delete", parked())).toBe(verdict);

    expect(published).toEqual([]);
  });

  it("replays again, marked, what was overtaken by mail that was accepted later", async () => {
    const accepted = Date.now() - HOUR_MS / 2;
    const overtaker = idOf(accepted);
    const { decide, published } = await setUp(
      event("email.replayed", "0.0", HOUR_MS),
      event("email.accepted", "0.1", HOUR_MS),
      event("email.sent", "0.0", HOUR_MS / 3, overtaker),
    );

    expect(await decide("replay", parked())).toBe("done");

    expect(published).toMatchObject([
      { messageId: `${EMAIL}.0.1`, headers: { "x-maybe-duplicate": true } },
    ]);
  });

  it("decides nothing by a part of the record", async () => {
    const { audit, decide, published, ledger } = await setUp(event("email.parked"));
    const { promise, resolve } = Promise.withResolvers<[]>();
    audit.files = () => promise;
    ledger.rebuild();

    const broken = expect.objectContaining({ code: "LEDGER_BROKEN" });
    await expect(decide("replay", parked())).rejects.toEqual(broken);
    await expect(decide("delete", parked())).rejects.toEqual(broken);

    resolve([]);
    expect(published).toEqual([]);
  });

  it("records a deletion under one id, however often it is published", async () => {
    const { decide, published } = await setUp(event("email.parked"));

    expect(await decide("delete", parked())).toBe("done");
    expect(await decide("delete", parked())).toBe("done");

    const outcome = {
      exchange: "outcomes",
      routingKey: "email.deleted",
      messageId: `${EMAIL}.0.0.deleted`,
    };
    expect(published).toMatchObject([outcome, outcome]);
  });

  it("replays and deletes an email that was never split for each of its recipients", async () => {
    const { decide, published } = await setUp(
      event("email.parked"),
      event("email.accepted", "1.0"),
      event("email.accepted", "2.0"),
      event("email.replayed", "3.0"),
      event("email.sent", "3.1"),
    );
    const recipients = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];
    const whole = parked({ recipients, headers: { "x-parked-whole": true } });

    expect(await decide("replay", whole)).toBe("done");
    expect(await decide("delete", whole)).toBe("done");

    expect(published.map(({ messageId }) => messageId)).toEqual([
      ...["0.1", "1.1", "2.1"].map((next) => `${EMAIL}.${next}`),
      ...["0.0", "1.0", "2.0"].map((delivery) => `${EMAIL}.${delivery}.deleted`),
    ]);
  });

  it("leaves an email that was never split while an emailer has it", async () => {
    const { decide, published } = await setUp(
      event("email.accepted"),
      event("email.accepted", "1.0"),
    );
    const recipients = ["a@example.com", "b@example.com"];

    const whole = parked({ recipients, headers: { "x-parked-whole": true } });
    expect(await decide("replay", whole)).toBe("left");

    expect(published).toEqual([]);
  });
});
