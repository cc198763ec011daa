import type { Phase, Verdict } from "../src/relay/reply-rules.ts";

/** A reply that a relay gave to somebody, or documents; addresses and hosts are made up. */
export type RealReply = readonly [phase: Phase, reply: string, verdict: Verdict];

/** Our sender address, and what vouches for its domain. */
const OF_SENDER: readonly RealReply[] = [
  // Postfix, which says at RCPT what it knew at MAIL (smtpd_delay_reject).
  [
    "RCPT",
    "550 5.1.8 <a@our.example>: Sender address rejected: Domain not found",
    "sender-refused",
  ],
  ["MAIL", "501 5.1.7 Bad sender address syntax", "sender-refused"],
  ["RCPT", "501 5.1.7 Bad sender address syntax", "sender-refused"],
  [
    "RCPT",
    "553 5.7.1 <a@our.example>: Sender address rejected: not owned by user b@our.example",
    "sender-refused",
  ],
  ["MAIL", "553 5.7.1 Sender address rejected: not owned by auth user.", "sender-refused"],
  ["RCPT", "553 5.7.1 <a@our.example>: Sender address rejected: not logged in", "sender-refused"],
  ["RCPT", "554 5.7.1 <a@our.example>: Sender address rejected: Access denied", "sender-refused"],
  [
    "RCPT",
    "504 5.5.2 <root@web>: Sender address rejected: need fully-qualified address",
    "sender-refused",
  ],
  [
    "RCPT",
    "550 5.7.23 <a@there.example>: Recipient address rejected: Message rejected due to: SPF fail - not authorized",
    "sender-refused",
  ],
  // Exim, with its callout to the sender's server.
  ["RCPT", "550 Sender verify failed", "sender-refused"],
  [
    "RCPT",
    "550-Verification failed for <a@our.example>\n550-No Such User Here\n550 Sender verify failed",
    "sender-refused",
  ],
  // Exchange, on premises and online.
  [
    "dot",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    "sender-refused",
  ],
  ["dot", "550 5.7.1 Client does not have permissions to send as this sender", "sender-refused"],
  [
    "dot",
    "554 5.2.252 SendAsDenied; a@our.example not allowed to send as b@our.example; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message Cannot submit message.",
    "sender-refused",
  ],
  [
    "dot",
    "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception",
    "sender-refused",
  ],
  ["dot", "550 5.1.8 Access denied, bad outbound sender AS(42004)", "sender-refused"],
  [
    "dot",
    "550 5.7.509 Access denied, sending domain our.example does not pass DMARC verification",
    "sender-refused",
  ],
  [
    "RCPT",
    "550 5.7.1 Service unavailable, MailFrom domain is listed in Spamhaus. (S8002)",
    "sender-refused",
  ],
  // Providers.
  [
    "dot",
    "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@our.example",
    "sender-refused",
  ],
  [
    "dot",
    "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.",
    "sender-refused",
  ],
  ["dot", "553 Relaying disallowed as a@our.example", "sender-refused"],
  ["dot", "550 5.7.1 Unverified domain our.example", "sender-refused"],
  ["MAIL", "501 5.1.0 Emetteur invalide. Invalid Sender. OFR004_405 [405]", "sender-refused"],
  ["RCPT", "501 5.1.0 Emetteur invalide. Invalid Sender. OFR004_405 [405]", "sender-refused"],
  [
    "dot",
    "550-Requested action not taken: mailbox unavailable\n550-For explanation visit https://postmaster.provider.example\n550 Sender address is not allowed.",
    "sender-refused",
  ],
  ["RCPT", "550 <a@our.example>: Invalid DNS MX or A/AAAA resource record", "sender-refused"],
  ["MAIL", "550 mail from not owned by user", "sender-refused"],
  ["RCPT", "550 this server does not accept mail from our.example", "sender-refused"],
  // SPF, DKIM and DMARC.
  [
    "dot",
    "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550 5.7.26 https://support.provider.example",
    "sender-refused",
  ],
  [
    "dot",
    "550-5.7.1 This message does not have authentication information or fails to\n550 5.7.1 pass authentication checks.",
    "sender-refused",
  ],
  [
    "dot",
    "550 5.7.1 Unauthenticated email from our.example is not accepted due to domain's DMARC policy.",
    "sender-refused",
  ],
  ["dot", "550 5.7.0 Email rejected per sender's DMARC policy", "sender-refused"],
  ["RCPT", "550 DMARC Sender Invalid - envelope rejected", "sender-refused"],
  [
    "MAIL",
    "550-SPF-check failed:\n550 our.example doesn't allow sending mails from 192.0.2.1",
    "sender-refused",
  ],
  // Said before the content was sent, and no word on the mailbox.
  ["RCPT", "550 Administrative prohibition", "sender-refused"],
  ["RCPT", "550 Administrative prohibition - envelope blocked", "sender-refused"],
  ["RCPT", "550 5.7.1 Command rejected", "sender-refused"],
  ["RCPT", "554 5.7.0 Reject", "sender-refused"],
  ["RCPT", "550 Access denied", "sender-refused"],
  ["MAIL", "550 No", "sender-refused"],
  // Said of access, so not of the content.
  ["dot", "554 5.7.1 Access denied", "sender-refused"],
  ["dot", "550 5.7.1 Delivery not authorized, message refused", "sender-refused"],
];

/** Our host, our account, or the relay's own trouble. */
const OF_US: readonly RealReply[] = [
  // Postfix.
  [
    "RCPT",
    "504 5.5.2 <15b0717dc4c2>: Helo command rejected: need fully-qualified hostname",
    "relay",
  ],
  ["RCPT", "550 5.7.1 <web>: Helo command rejected: Host not found", "relay"],
  ["RCPT", "554 5.7.1 <a@there.example>: Relay access denied", "relay"],
  ["RCPT", "454 4.7.1 <a@there.example>: Relay access denied", "relay"],
  ["RCPT", "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", "relay"],
  ["RCPT", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "relay"],
  [
    "RCPT",
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "relay",
  ],
  [
    "RCPT",
    "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using dnsbl.example",
    "relay",
  ],
  ["MAIL", "530 5.7.0 Must issue a STARTTLS command first", "relay"],
  ["RCPT", "530 5.7.0 Authentication required", "relay"],
  ["DATA", "550 5.7.1 <DATA>: Data command rejected: your account may not send", "relay"],
  // Exim and cPanel.
  ["RCPT", "550 relay not permitted", "relay"],
  ["RCPT", "550 relay not permitted, authentication required", "relay"],
  ["MAIL", "550 Access denied - Invalid HELO name (See RFC2821 4.1.3)", "relay"],
  ["RCPT", '550 "JunkMail rejected - host.example [192.0.2.1] is in an RBL"', "relay"],
  [
    "RCPT",
    "550 Domain our.example has exceeded the max emails per hour (500/500) allowed.",
    "relay",
  ],
  // Sendmail, qmail and others.
  ["RCPT", "550 5.7.1 Relaying denied. Proper authentication required.", "relay"],
  ["RCPT", "550 5.7.1 <a@there.example>... Relaying denied. IP name lookup failed", "relay"],
  ["RCPT", "553 sorry, that domain isn't allowed to be relayed thru this MTA (#5.7.1)", "relay"],
  ["RCPT", "550 SMTP AUTH is required for message submission: authenticate first", "relay"],
  // Exchange, on premises and online.
  ["RCPT", "550 5.7.1 Unable to relay", "relay"],
  ["RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "relay"],
  [
    "MAIL",
    "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
    "relay",
  ],
  ["RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied", "relay"],
  ["RCPT", "550 5.7.606 Access denied, banned sending IP [192.0.2.1].", "relay"],
  ["dot", "550 5.7.705 Access denied, tenant has exceeded threshold", "relay"],
  [
    "dot",
    "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
    "relay",
  ],
  ["dot", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", "relay"],
  [
    "dot",
    "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
    "relay",
  ],
  ["MAIL", "452 4.3.1 Insufficient system resources", "relay"],
  // Gmail.
  ["dot", "550 5.4.5 Daily user sending quota exceeded. x1sm25351206pga.71 - gsmtp", "relay"],
  [
    "dot",
    "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n550 5.4.5 sending limits go to https://support.provider.example",
    "relay",
  ],
  ["RCPT", "550 5.7.0 Mail relay denied [192.0.2.1]. Invalid credentials for relay", "relay"],
  ["RCPT", "450 4.2.1 Peak SMTP relay limit exceeded for customer.", "relay"],
  [
    "dot",
    "550-5.7.1 [192.0.2.1] The IP you're using to send mail is not authorized to\n550-5.7.1 send email directly to our servers. Please use the SMTP relay at your\n550 5.7.1 service provider instead.",
    "relay",
  ],
  [
    "dot",
    "550-5.7.1 [2001:db8::1] Our system has detected that this message does\n550-5.7.1 not meet IPv6 sending guidelines regarding PTR records and\n550 5.7.1 authentication.",
    "relay",
  ],
  // Other providers.
  ["dot", "454 Throttling failure: Maximum sending rate exceeded.", "relay"],
  ["dot", "454 Throttling failure: Daily message quota exceeded.", "relay"],
  ["MAIL", "550 Unauthenticated senders not allowed", "relay"],
  ["MAIL", "550 that IP address is not allowed to send", "relay"],
  ["dot", "552 Your account has been suspended. Please contact us to reactivate", "relay"],
  ["dot", "550 5.4.6 Unusual sending activity detected.", "relay"],
  ["dot", "552 x Message would take you over your relay quota of 500", "relay"],
  [
    "dot",
    "554 5.7.0 Your message could not be sent. The limit on the number of allowed outgoing messages was exceeded. Try again later.",
    "relay",
  ],
  ["RCPT", "550 Sender frequency limited.", "relay"],
  ["RCPT", '550 "You are not allowed to send email"', "relay"],
  [
    "MAIL",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
    "relay",
  ],
  ["RCPT", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "relay"],
  ["RCPT", "550 too many concurrent SMTP connections", "relay"],
  ["RCPT", "550 5.7.1 we do not accept mail from dynamic IPs", "relay"],
  ["RCPT", "550 authentification requise OFR_402", "relay"],
  ["RCPT", "550 unresolvable relay host name", "relay"],
  // Load, as long as no recipient was named.
  ["MAIL", "450 4.7.1 Error: too much mail from 192.0.2.1", "relay"],
  ["MAIL", "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", "relay"],
  ["MAIL", "452 4.3.2 Connection rate limit exceeded.", "relay"],
  ["MAIL", "450 Too many messages, slow down", "relay"],
];

/** One delivery, for a while. */
const FOR_NOW: readonly RealReply[] = [
  ["dot", "451 4.7.1 Greylisting in action, please come back later", "deferred"],
  ["dot", "451 4.7.1 Try again later", "deferred"],
  ["dot", '451 4.7.1 Ratelimit "user" exceeded', "deferred"],
  [
    "RCPT",
    "450 4.2.0 <a@there.example>: Recipient address rejected: Greylisted, see http://postgrey.example",
    "deferred",
  ],
  [
    "RCPT",
    "450 4.7.1 <unknown[192.0.2.1]>: Client host rejected: Greylisted for 300 seconds",
    "deferred",
  ],
  [
    "RCPT",
    "451 4.7.1 <a@there.example>: Recipient address rejected: Greylisted for 5 minutes",
    "deferred",
  ],
  ["MAIL", "451 4.7.1 Greylisted, please try again in 60 seconds", "deferred"],
  ["RCPT", "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", "deferred"],
  [
    "RCPT",
    "450 4.2.1 The user you are trying to contact is receiving mail at a rate that\n450 4.2.1 prevents additional messages from being delivered.",
    "deferred",
  ],
  ["RCPT", "450 4.2.1 The recipient has exceeded message rate limit. Try again later.", "deferred"],
  ["RCPT", "452 4.2.2 The email account that you tried to reach is over quota.", "deferred"],
  ["RCPT", "452 4.1.1 <a@there.example> too many recent messages; Try again later", "deferred"],
  ["RCPT", "450 4.1.8 <a@our.example>: Sender address rejected: Domain not found", "deferred"],
  [
    "RCPT",
    "450 4.1.1 <a@there.example>: Recipient address rejected: unverified address: Address verification in progress",
    "deferred",
  ],
  ["dot", "452 4.3.1 Insufficient system storage", "deferred"],
  ["dot", "451 4.3.0 Temporary lookup failure", "deferred"],
  ["MAIL", "451 4.3.0 Temporary lookup failure", "deferred"],
  ["dot", "451 4.4.5 Try again later", "deferred"],
  ["RCPT", "454 4.7.0 Temporary authentication failure", "deferred"],
  ["dot", "551 5.3.0 Unknown error", "deferred"],
  ["dot", "554 5.3.2 System not accepting messages", "deferred"],
  ["dot", "550 Temporary failure, please try again later", "deferred"],
];

/** One delivery, for good: the mailbox, or what the message holds. */
const FOR_GOOD: readonly RealReply[] = [
  [
    "RCPT",
    "550 5.1.1 <a@there.example>: Recipient address rejected: User unknown in virtual mailbox table",
    "failed",
  ],
  [
    "RCPT",
    "550 5.1.1 <a@there.example>: Recipient address rejected: User unknown in relay recipient table",
    "failed",
  ],
  [
    "RCPT",
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550 5.1.1 double-checking the recipient's email address for typos.",
    "failed",
  ],
  ["DATA", "550 5.1.1 User unknown", "failed"],
  ["dot", "550 5.1.1 User unknown", "failed"],
  ["RCPT", "550 5.1.2 <a@there.example>: Recipient address rejected: Domain not found", "failed"],
  ["RCPT", "501 5.1.3 Bad recipient address syntax", "failed"],
  ["RCPT", "550 5.1.6 recipient no longer on server", "failed"],
  [
    "RCPT",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "failed",
  ],
  ["RCPT", "556 5.1.10 Domain does not accept mail (nullMX)", "failed"],
  ["RCPT", "550 5.2.1 The email account that you tried to reach is disabled.", "failed"],
  ["RCPT", "552 5.2.2 <a@there.example>: user is overquota", "failed"],
  [
    "RCPT",
    "554 5.2.2 <a@there.example>: Recipient address rejected: Quota exceeded (mailbox for user is full)",
    "failed",
  ],
  ["RCPT", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "failed"],
  ["RCPT", "554 5.7.1 <a@there.example>: Recipient address rejected: Access denied", "failed"],
  ["RCPT", "504 5.5.2 <a>: Recipient address rejected: need fully-qualified address", "failed"],
  ["RCPT", "550 5.7.1 No such user!", "failed"],
  ["RCPT", "550 5.5.0 Requested action not taken: mailbox unavailable.", "failed"],
  ["RCPT", "550 No such user here", "failed"],
  ["RCPT", "550 Unrouteable address", "failed"],
  ["RCPT", "550 Unknown user", "failed"],
  ["RCPT", "550 sorry, your envelope recipient has been denied", "failed"],
  ["RCPT", "550 Requested action not taken: mailbox unavailable", "failed"],
  ["RCPT", "552 Requested mail action aborted: exceeded storage allocation", "failed"],
  ["RCPT", "551 User not local; please try <b@elsewhere.example>", "failed"],
  ["RCPT", "501 Syntax error in parameters or arguments", "failed"],
  ["RCPT", "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)", "failed"],
  [
    "RCPT",
    "554 delivery error: dd This user doesn't have a there.example account (a@there.example)",
    "failed",
  ],
  ["MAIL", "552 5.3.4 Message size exceeds fixed limit", "failed"],
  ["dot", "552 5.3.4 Message size exceeds fixed limit", "failed"],
  [
    "dot",
    "552-5.2.3 Your message exceeded Google's message size limits.\n552 5.2.3 Please visit https://support.provider.example",
    "failed",
  ],
  ["dot", "554 5.7.1 Spam message rejected", "failed"],
  [
    "dot",
    "550-5.7.1 [192.0.2.1] Our system has detected that this message is likely\n550-5.7.1 unsolicited mail. To reduce the amount of spam sent to Gmail, this message\n550 5.7.1 has been blocked.",
    "failed",
  ],
  ["dot", "550 5.7.1 Message considered as SPAM", "failed"],
  [
    "dot",
    "552-5.7.0 Our system detected an illegal attachment on your message.\n552 5.7.0 Please visit https://support.provider.example",
    "failed",
  ],
  ["dot", "550 virus detected", "failed"],
  ["dot", "554 5.7.1 Blocked: the message contains a URL listed in uribl.example", "failed"],
  ["dot", "554 5.6.0 Message contains NUL characters", "failed"],
  ["dot", "550 5.7.1 This message violates there.example email policy. - gcdp", "failed"],
  ["dot", "500 5.5.2 Error: line too long", "failed"],
];

/** A connection that is to be left. */
const OF_CONNECTION: readonly RealReply[] = [
  ["MAIL", "421 Max message per connection reached, closing transmission channel", "connection"],
  ["MAIL", "421 4.7.0 mx.example Error: too many errors", "connection"],
  [
    "RCPT",
    "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
    "connection",
  ],
  ["dot", "421 4.4.2 mx.example Error: timeout exceeded", "connection"],
  ["MAIL", "452 4.5.3 Too many messages in this session", "connection"],
  ["MAIL", "450 Too many messages per connection", "connection"],
  ["RCPT", "503 5.5.1 Error: need MAIL command", "connection"],
  ["DATA", "503 valid RCPT command must precede DATA", "connection"],
  ["DATA", "554 5.5.1 Error: no valid recipients", "connection"],
  ["MAIL", "503 5.5.1 Error: nested MAIL command", "connection"],
  ["RCPT", "500 5.5.2 Error: bad syntax", "connection"],
  ["MAIL", "502 5.5.2 Error: command not recognized", "connection"],
];

/** Replies that were given, with the phase and the right verdict. */
export const REAL_REPLIES: readonly RealReply[] = [
  ...OF_SENDER,
  ...OF_US,
  ...FOR_NOW,
  ...FOR_GOOD,
  ...OF_CONNECTION,
];
