/** What a consumer does when the flow changes. The calls are made at once, in the order of subscription. */
export interface FlowSubscriber {
  /** The first holder has paused. */
  onPause: () => void;
  /** The last holder has resumed. */
  onResume: () => void;
  /** Messages in flight are to be given back to the broker. */
  onRelease: () => void;
}

/**
 * Decides whether messages are consumed. A composition root creates it first and hands it to the parts that may pause
 * and to the consumer, which subscribes; so no part needs to know the consumer.
 *
 * | holders | event                    | subscribers are told | holders then |
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

  /** Has no further messages delivered until the same holder resumes. Messages in flight are finished. */
  pause(holder: string): void {
    const wasPaused = this.paused;
    this.#holders.add(holder);
    if (!wasPaused) this.#tell(({ onPause }) => onPause());
  }

  /** Ends this holder's pause. Messages are delivered again when no other holder has paused. */
  resume(holder: string): void {
    if (this.#holders.delete(holder) && !this.paused) this.#tell(({ onResume }) => onResume());
  }

  /** Gives the messages in flight back to the broker, which delivers them again: to this consumer too, unless it is paused. */
  release(): void {
    this.#tell(({ onRelease }) => onRelease());
  }

  /** Tells a subscriber of every later change, for as long as the process lives. */
  subscribe(subscriber: FlowSubscriber): void {
    this.#subscribers.push(subscriber);
  }

  #tell(change: (subscriber: FlowSubscriber) => void): void {
    for (const subscriber of this.#subscribers) change(subscriber);
  }
}
