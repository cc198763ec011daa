import { declare, type ConfirmChannel } from "@wellsent/amqp";
import {
  attemptQueue,
  attemptQueues,
  isAttemptQueue,
  retryBindings,
  LADDER_QUEUE,
  RETRY_EXCHANGE,
  RETRY_SPARE_EXCHANGE,
  type Binding,
} from "@wellsent/contract";

/**
 * Makes a schedule the ladder's. A broker does not tell its bindings, so a message in `emailer.ladder` notes those that
 * were made; what another schedule left would send a rejected delivery down two rungs, and that is two mails.
 * Resolves to the queues of attempts that a longer ladder had: what has arrived there is to be consumed, too.
 */
export async function takeLadder(channel: ConfirmChannel, seconds: readonly number[]) {
  const notes = await takeNotes(channel);
  const existing = notes.flatMap(({ content }) => JSON.parse(content.toString()) as Binding[]);
  const wanted = retryBindings(seconds, existing);
  const ways = new Set(wanted.map(wayOf));
  const stale = existing.filter((old) => !ways.has(wayOf(old)));
  channel.sendToQueue(LADDER_QUEUE, Buffer.from(JSON.stringify(wanted)), { persistent: true });
  await channel.waitForConfirms();
  // n.b. the old ways go before the new ones come, for two would make two mails of one. What is dead-lettered in between
  // finds its way by the spare exchange; without one it would rest until the broker tries again, three minutes later.
  for (const source of [RETRY_SPARE_EXCHANGE, RETRY_EXCHANGE]) {
    for (const { destination, key } of stale) await channel.unbindQueue(destination, source, key);
    await declare(channel, { bindings: wanted.map((binding) => ({ ...binding, source })) });
  }
  for (const note of notes) channel.ack(note);
  const own = attemptQueues(seconds.length);
  const attempts = wanted.map(({ key }) => key).filter((key) => isAttemptQueue(key));
  const left = attempts.filter((key) => !own.includes(key));
  // They may have been deleted.
  await declare(channel, { queues: left.map((name) => attemptQueue(name)) });
  return left;
}

type Note = Exclude<Awaited<ReturnType<ConfirmChannel["get"]>>, false>;

/** Several stand there when two emailers started at the same time, or one died here. */
async function takeNotes(channel: ConfirmChannel): Promise<Note[]> {
  const note = await channel.get(LADDER_QUEUE);
  return note ? [note, ...(await takeNotes(channel))] : [];
}

function wayOf({ key, destination }: Binding): string {
  return `${key} ${destination}`;
}
