import type { Binding, QueueDeclaration } from "../src/declarations.ts";

interface Declared {
  queues: readonly QueueDeclaration[];
  bindings: readonly Binding[];
}

/** Returns the declaration of a queue. */
export function queueNamed({ queues }: Pick<Declared, "queues">, name: string) {
  return queues.find((queue) => queue.name === name);
}

/** Returns the destinations of a message that is published to an exchange with a key. */
export function routed({ bindings }: Pick<Declared, "bindings">, source: string, key: string) {
  return bindings
    .filter((binding) => binding.source === source && binding.key === key)
    .map(({ destination }) => destination);
}

/** Returns the destinations of a message that is dead-lettered from a queue. */
export function below(declared: Declared, name: string): string[] {
  const declaration = queueNamed(declared, name)?.arguments ?? {};
  const exchange = String(declaration["x-dead-letter-exchange"]);
  const key = String(declaration["x-dead-letter-routing-key"]);
  return exchange === "" ? [key] : routed(declared, exchange, key);
}
