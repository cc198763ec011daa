/** Callbacks for changes of the flow. They are called synchronously, in the order of subscription. */
export interface FlowSubscriber {
  /** The first holder has paused. */
  onPause: () => void;
  /** The last holder has resumed. */
  onResume: () => void;
  /** The messages in flight should be returned to the broker. */
  onRelease: () => void;
}

/**
 * Decides whether messages are consumed. A composition root creates it first, and passes it to the parts that may pause and
 * to the consumer, which subscribes. So these parts do not depend on the consumer.
 *
 * | holders | event                    | subscribers are called | holders then |
 * | ------- | ------------------------ | -------------------- | ------------ |
 * | none    | `pause("a")`             | `onPause`            | a            |
 * | a       | `pause("a")`             | nothing              | a            |
 * | a       | `pause("b")`             | nothing              | a, b         |
 * | a, b    | `resume("b")`            | nothing              | a            |
 * | a       | `resume("a")`            | `onResume`           | none         |
 * | any     | `resume` of a non-holder | nothing              | unchanged    |
 * | any     | `release()`              | `onRelease`          | unchanged    |
 */
export class FlowControl {
  readonly #holders = new Set<string>();
  readonly #subscribers: FlowSubscriber[] = [];

  /** Whether at least one holder has paused. */
  get paused(): boolean {
    return this.#holders.size > 0;
  }

  /** Stops consuming until the same holder resumes. Messages in flight are still handled and settled. */
  pause(holder: string): void {
    const wasPaused = this.paused;
    this.#holders.add(holder);
    if (!wasPaused) this.#notify(({ onPause }) => onPause());
  }

  /** Ends the pause of a holder. Messages are consumed again when no other holder has paused. */
  resume(holder: string): void {
    if (this.#holders.delete(holder) && !this.paused) this.#notify(({ onResume }) => onResume());
  }

  /** Returns the messages in flight to the broker, which delivers them again, also to this consumer unless it is paused. */
  release(): void {
    this.#notify(({ onRelease }) => onRelease());
  }

  /** Adds a subscriber. It is called at every later change and cannot be removed. */
  subscribe(subscriber: FlowSubscriber): void {
    this.#subscribers.push(subscriber);
  }

  #notify(change: (subscriber: FlowSubscriber) => void): void {
    for (const subscriber of this.#subscribers) change(subscriber);
  }
}
