import { inTime, type Publisher } from "@posthorn/chassis";
import {
  newEmailId,
  OUTCOMES_EXCHANGE,
  QUERY_KEY,
  QUERY_TYPE,
  REPLY_QUEUE,
} from "@posthorn/contract";

/** A query whose answer is late is asked again. */
const AGAIN_MS = 5_000;

/** Resolves when the record has everything that was published so far: a query of our own was answered. */
export async function recorded(
  channel: NonNullable<Publisher["channel"]>,
  lost: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const answer = () => resolve(undefined);
  const { consumerTag } = await channel.consume(REPLY_QUEUE, answer, { noAck: true });
  const query = Buffer.from(JSON.stringify({ delivery: `${newEmailId()}.0.0` }));
  const properties = { type: QUERY_TYPE, replyTo: REPLY_QUEUE, persistent: true };
  do {
    lost.throwIfAborted();
    channel.publish(OUTCOMES_EXCHANGE, QUERY_KEY, query, properties);
  } while (!(await inTime(AGAIN_MS, promise, lost)));
  await channel.cancel(consumerTag);
}
