import type { Publisher } from "@wellsent/amqp";
import { newId, PAUSED_QUEUE } from "@wellsent/contract";
import { Problem, type Route } from "@wellsent/http";
import { PROBLEMS } from "./problems.ts";

/** The pause is a message in a queue that every emailer looks at. */
export function pauseRoutes(publisher: Publisher): Route[] {
  const responses = { 200: { description: "Whether sending is paused" } };
  const problems = [PROBLEMS.BROKER_AWAY];
  return [
    {
      method: "get",
      path: "/pause",
      operation: { operationId: "getPause", summary: "Is sending paused?", responses, problems },
      handlers: [
        async (_request, response) => {
          response.json({ paused: await isPaused(publisher) });
        },
      ],
    },
    {
      method: "post",
      path: "/pause",
      operation: { operationId: "pause", summary: "Pause sending", responses, problems },
      handlers: [
        async (_request, response) => {
          if (!(await isPaused(publisher))) await pause(publisher);
          response.json({ paused: true });
        },
      ],
    },
    {
      method: "post",
      path: "/resume",
      operation: { operationId: "resume", summary: "Resume sending", responses, problems },
      handlers: [
        async (_request, response) => {
          await channelOf(publisher).purgeQueue(PAUSED_QUEUE);
          response.json({ paused: false });
        },
      ],
    },
  ];
}

function channelOf({ channel }: Publisher): NonNullable<Publisher["channel"]> {
  if (!channel) throw new Problem(PROBLEMS.BROKER_AWAY);
  return channel;
}

async function isPaused(publisher: Publisher): Promise<boolean> {
  const { messageCount } = await channelOf(publisher).checkQueue(PAUSED_QUEUE);
  return messageCount > 0;
}

async function pause(publisher: Publisher): Promise<void> {
  const target = { exchange: "", routingKey: PAUSED_QUEUE, messageId: newId() };
  const body = Buffer.from(JSON.stringify({ since: new Date().toISOString() }));
  await publisher.publish({ ...target, body });
}
