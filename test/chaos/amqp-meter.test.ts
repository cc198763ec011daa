import { describe, expect, it } from "@jest/globals";
import { AmqpMeter } from "./amqp-meter.ts";

const SELECT = method(85, 10);

describe("AmqpMeter", () => {
  it("tells which deliveries' outcome `sent` the broker confirms", () => {
    const sent: string[] = [];
    const meter = metering((delivery) => sent.push(delivery));

    meter.fromClient(publish("email.sent", "a.0.0"));
    meter.fromClient(publish("email.deferred", "b.0.0"));
    meter.fromClient(publish("email.sent", "c.0.0"));
    meter.fromClient(publish("email.sent", "d.0.0"));
    const before = [...sent];
    meter.fromBroker(answer(80, 3, { isMultiple: true }));

    expect([before, sent, meter.unconfirmed]).toEqual([[], ["a.0.0", "c.0.0"], 1]);
  });

  it("takes a nack for no confirm", () => {
    const sent: string[] = [];
    const meter = metering((delivery) => sent.push(delivery));

    meter.fromClient(publish("email.sent", "a.0.0"));
    meter.fromBroker(answer(120, 1));

    expect([sent, meter.unconfirmed]).toEqual([[], 0]);
  });

  it("reads frames in pieces of any size", () => {
    const sent: string[] = [];
    const meter = metering((delivery) => sent.push(delivery));

    for (const byte of publish("email.sent", "a.0.0")) meter.fromClient(Buffer.of(byte));
    for (const byte of answer(80, 1)) meter.fromBroker(Buffer.of(byte));

    expect(sent).toEqual(["a.0.0"]);
  });
});

/** A meter that has seen a channel with confirms being opened. */
function metering(onSent: (delivery: string) => void): AmqpMeter {
  const meter = new AmqpMeter(onSent);
  meter.fromClient(Buffer.concat([Buffer.from("AMQP\0\0\t\x01"), SELECT]));
  return meter;
}

function publish(routingKey: string, delivery: string): Buffer {
  const names = [name("outcomes"), name(routingKey)];
  const body = Buffer.from(JSON.stringify({ delivery, recipient: "x".repeat(500) }));
  return Buffer.concat([
    method(60, 40, Buffer.alloc(2), ...names, Buffer.alloc(1)),
    frame(2, Buffer.alloc(14)),
    frame(3, body),
  ]);
}

function answer(methodId: number, tag: number, { isMultiple = false } = {}): Buffer {
  const args = Buffer.alloc(9);
  args.writeBigUInt64BE(BigInt(tag));
  args.writeUInt8(isMultiple ? 1 : 0, 8);
  return method(60, methodId, args);
}

function method(classId: number, methodId: number, ...args: Buffer[]): Buffer {
  return frame(1, Buffer.concat([Buffer.of(0, classId, 0, methodId), ...args]));
}

/** On channel 1. */
function frame(type: number, content: Buffer): Buffer {
  const head = Buffer.of(type, 0, 1, 0, 0, 0, 0);
  head.writeUInt32BE(content.length, 3);
  return Buffer.concat([head, content, Buffer.of(0xce)]);
}

function name(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
}
