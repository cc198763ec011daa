import { describe, expect, it } from "@jest/globals";
import { settle, type Settlement } from "../src/delivery.ts";

/** A channel that records its commands. */
function createChannel() {
  const commands: unknown[] = [];
  const channel: Parameters<typeof settle>[0] = {
    ack: ({ fields }) => void commands.push(["ack", fields.deliveryTag]),
    reject: ({ fields }, requeue) => void commands.push(["reject", fields.deliveryTag, requeue]),
  };
  return { channel, commands };
}

describe("settle", () => {
  it.each<[Settlement, unknown[]]>([
    ["ack", [["ack", 7]]],
    ["reject", [["reject", 7, false]]],
    ["leave", []],
  ])("sends the command for %s", (settlement, expected) => {
    const { channel, commands } = createChannel();

    expect(settle(channel, 7, settlement)).toBe(settlement);
    expect(commands).toEqual(expected);
  });

  it.each<Settlement>(["ack", "reject"])("returns lost if the channel has closed: %s", (how) => {
    const fail = () => {
      throw new Error("Channel closed");
    };

    expect(settle({ ack: fail, reject: fail }, 7, how)).toBe("lost");
  });
});
