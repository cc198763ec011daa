/*
 * What the texts of refusals speak of. A text decides only where the code and the enhanced status do not. The lists were
 * collected from replies that relays document or that their users quoted; test/replies.ts holds those.
 */

/** Fits any of the words, which are alternatives of a regular expression. */
const word = (words: string) => new RegExp(`\\b(${words})\\b`, "i");
/** Fits one of the first words when one of the second follows within so many characters. */
const near = (first: string, distance: number, second: string) =>
  new RegExp(`\\b(${first})\\b.{0,${distance}}\\b(${second})\\b`, "i");

/** An account that may not send under an address. No mailbox is refused in these words, whatever the status. */
export const SEND_AS = [/send ?as ?denied/i, word("send (as|on behalf)|disallowed as")];

/** A limit of one connection. */
export const SESSION_LIMIT = [word("(per|this|in one|in a) (connection|session)|batch limit")];

const LIMIT = "quotas?|limits?|limited|rates?|thresholds?";

/** A limit on what our account may send in an hour, a day or a month. */
export const QUOTA = [
  near("sending|sender|outgoing|outbound|relay|submission|daily|hourly|monthly", 30, LIMIT),
  near(LIMIT, 40, "allowed outgoing|per (day|hour|month)"),
  near("exceed(s|ed)?|reach(ed)?", 60, "(e?-?mails?|messages) .{0,15}(an?|per) (day|hour|month)"),
  word("unusual sending|insufficient credits?|out of credits?|credits? exceeded"),
  /submission ?quota|\b(tenant|account) has exceeded/i,
];

/** More mail at a time than a relay takes. */
export const RATE = [
  near("too (many|much)", 20, "e?-?mails?|messages?|recipients?|errors"),
  near("too (many|much)", 20, "connections?|sessions?|requests?"),
  word("slow down|too fast|frequency limited|unusual rate|connection limit"),
  /throttl|rate-? ?limit/i,
];

/** Limits that are no limit of ours: of a mailbox, of a message's size or of mail to one recipient. */
export const OTHER_LIMIT = [
  near("user", 60, "receiving"),
  near("recipient|mailbox", 60, "receiving|full|limit|quota"),
  word("over ?quota|storage|size|hops|header|to this recipient|mail data|on the server"),
];

/** A recipient's server that wants the same mail again later. */
export const GREYLISTING = [/gr[ae]y-? ?list/i];

const MAILBOX = "user|mailbox|recipients?|addressee|alias|mailhost|forward-path";

/** A mailbox or a domain that is not there, or takes no mail. */
export const NO_MAILBOX = [
  near(MAILBOX, 60, "unknown|not found|not exist|no longer|disabled|inactive|invalid|unavailable"),
  near(MAILBOX, 60, "full|suspended|unallocated|rejected|refused|denied|not accepted|quota"),
  near("no such|unknown|invalid|bad|inactive|nonexistent|not a valid", 10, `${MAILBOX}|address`),
  near("no such|unknown|invalid|inactive|nonexistent", 10, "account|person|destination|customer"),
  /\b(user|mailbox|recipient|address|account)\b.{0,60}(n['’]t (exist|have)|not a (valid|known)|not our)/i,
  word("unrouteable|not our customer|over ?quota|storage allocation|quota exceeded"),
];

/** Our sender address, its domain, or what vouches for it (SPF, DKIM, DMARC). */
export const SENDER = [
  near("sender", 60, "rejected|refused|denied|invalid|fail\\w*|not|unknown|unauthenticated"),
  near("sender", 60, "blocked|banned|verif\\w*|limited|without"),
  near("bad|invalid|illegal|unknown|unverified|unroutable|bogus", 10, "sender|from|return-path"),
  near("unauthori[sz]ed|banned|spoofed|suspected spam", 10, "sender|from|return-path"),
  near(
    "(from|return-path|mail ?from).{0,20} (address|name|domain|header)",
    40,
    "not|invalid|listed",
  ),
  near("(from|return-path|mail ?from).{0,20} (address|name|domain|header)", 40, "rejected|refused"),
  near("mail from", 60, "refused|rejected|not"),
  word("not owned by|sender is|emetteur|verification failed for"),
  word("address (is )?not verified|unverified (address|domain|identity)|domain of sender"),
  word("spf|dkim|dmarc|authentication (checks|information)|(sender|sending) domain|invalid dns mx"),
  /\bspoof/i,
];

/** What the message is or holds. */
export const CONTENT = [
  word("virus|malware|phishing|attachments?|ur[il]s?|links?|headers?|content|message size|size"),
  word("too (big|large|long)"),
];

/** Our host: its address, its name in EHLO, its right to relay, our account. */
export const US = [
  near("relay(ing)?", 25, "denied|not|disallowed|prohibited|refused|forbidden"),
  word("(to|to be|as a|open|mail|no|not) relay(ed|ing)?|relaying mail to|rcpthosts?|not a gateway"),
  word("client host|helo|ehlo|ptr|reverse (dns|hostname|lookup)|cannot find your"),
  /\bclient \[|authenti(c|f)|\bstarttls\b/i,
  word("log(ged)? ?in|credentials|tls .{0,20}(required|first)|tls required"),
  near("ips?( address(es)?)?", 60, "not|block\\w*|bann?ed|list\\w*|reject\\w*|denied|reputation"),
  near("ips?( address(es)?)?", 60, "based|bloquee"),
  near("banned|bad|blocked|unauthori[sz]ed|dynamic|invalid|from this", 10, "ips?"),
  word("(sending|client) ips?|open proxy|relay host|blocked using|listed (in|on|at|by)"),
  /\b(black|block|deny)-? ?list|\b(dns[bw]l|rbl)\b|spamhaus|spamcop|\btraffic not accepted/i,
  near("host", 40, "blocked|denied|reject\\w*|refused"),
  word("your (\\w+ )?(account|ip|host|server|network|plan|subscription|trial|service)"),
  near("account", 30, "activ\\w+|review"),
  word("not (allowed|permitted|authori[sz]ed) to (send|connect|use|relay)"),
];

/** The same, in words so clear that they count where the code says "for now": Postfix's, with a setting that defers. */
export const US_CLEARLY = [
  word("relay(ing)? (access )?(denied|not permitted)|(client host|helo command) rejected"),
  word("authentication (is )?required|must (authenticate|issue a starttls)"),
];

/** A refusal that is not for good, whatever its code. */
export const FOR_NOW = [word("try (it |this )?(again|later)|temporar(y|ily)|come back later")];

/** A refusal of access that does not say to whom; the content is not meant. */
export const ACCESS = [
  word("(access|permission) denied|not authori[sz]ed|unauthori[sz]ed"),
  /\badministrative(ly)? prohibit/i,
];

/** A policy that does not say against whom. */
export const POLICY = [
  word(
    "polic(y|ies)|denied|blocked|banned|reputation|abuse|not (permitted|allowed|accepted|accept)",
  ),
  /prohibit/i,
];

/** A relay that has the order of commands wrong, or finds ours wrong. */
export const OUT_OF_ORDER = [
  word("no valid recipients|need (rcpt|mail)|(rcpt|mail) .{0,20}(first|precede)"),
];
