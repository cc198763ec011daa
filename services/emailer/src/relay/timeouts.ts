/** How long the emailer waits for a relay, in milliseconds. */
export interface Timeouts {
  /** For each address of the relay's name, until it accepts the connection. Postfix: `smtp_connect_timeout`. */
  connect: number;
  /** For the greeting. RFC 5321 §4.5.3.2.1: five minutes. */
  greeting: number;
  /**
   * For the reply to MAIL and to RCPT. RFC 5321 §4.5.3.2.2 and .3: five minutes. The RFC has no time for EHLO, AUTH and
   * STARTTLS; Postfix waits as long (`smtp_helo_timeout`, `smtp_starttls_timeout`).
   */
  command: number;
  /** For the reply to DATA. RFC 5321 §4.5.3.2.4: two minutes. */
  data: number;
  /** Until the connection has accepted a block of the body. RFC 5321 §4.5.3.2.5: three minutes. */
  block: number;
  /** For the reply to the final dot. RFC 5321 §4.5.3.2.6: ten minutes. Giving up earlier causes duplicates. */
  final: number;
  /** For the reply to QUIT and RSET. Nothing depends on it. */
  quit: number;
  /** Between a reply line without a code and the reply itself. */
  stray: number;
  /** How long a connection without a mail is kept. A Postfix server under load closes it after ten seconds (`smtpd_timeout`). */
  idle: number;
  /**
   * For each reply before the final dot, while another relay could take the mail instead, and for a greeting, while the name
   * has another address. Nothing that the relay could deliver was sent by then.
   */
  failover: number;
  /** When every connection of a relay waits for this long, mails that wait are sent to the next relay. */
  slow: number;
  /** Between a relay's trouble and the first probe; later pauses are up to 4 times as long, or 10 where it throttles. */
  pause: number;
  /** How long a mail waits for a relay that admits it, before its delivery goes one rung down the ladder. */
  held: number;
}

/** The defaults. */
export const TIMEOUTS: Timeouts = {
  connect: 30_000,
  greeting: 300_000,
  command: 300_000,
  data: 120_000,
  block: 180_000,
  final: 600_000,
  quit: 2_000,
  stray: 5_000,
  idle: 10_000,
  failover: 30_000,
  slow: 10_000,
  pause: 1_000,
  held: 600_000,
};

/** Returns the timeouts for a mail that another relay could take: before the final dot none is longer than `failover`. */
export function withFailover(timeouts: Timeouts): Timeouts {
  const shorten = (limit: number) => Math.min(limit, timeouts.failover);
  return {
    ...timeouts,
    greeting: shorten(timeouts.greeting),
    command: shorten(timeouts.command),
    data: shorten(timeouts.data),
    block: shorten(timeouts.block),
  };
}
