/** The audit's client: many sessions, each message with recipients of its own, each outcome written down. */
import { setTimeout as delay } from 'node:timers/promises';
import { RawClient, type Secured, type Submission } from '../support/raw-client.ts';
import type { SentMessage } from './verdict.ts';

export interface LoadOptions {
  readonly host?: string;
  readonly port: number;
  /** Whose it is. */
  readonly server?: string;
  readonly messages: number;
  readonly sessions: number;
  readonly random: () => number;
  /** Ends the sending, whatever is left. */
  readonly signal: AbortSignal;
  /** Number of its first message, where several loads must not be mistaken for each other. */
  readonly first?: number;
  /** Messages a second, all sessions together; what was kept back meanwhile is sent after it. Left out: as fast as it goes. */
  readonly rate?: number;
  /** Of the recipients, in turn. */
  readonly domains?: readonly string[];
  /** Messages before a session ends and the next begins. Left out: as long as it lasts. */
  readonly messagesPerSession?: number;
  readonly reconnectMs?: number;
  /** After this much silence a client gives its connection up. */
  readonly silenceMs?: number;
  readonly secured?: Secured;
}

export interface Load {
  readonly sent: readonly SentMessage[];
  /** Of 1, by messages. */
  progress(): number;
  /** Number of the message that comes next. */
  next(): number;
  /** Messages acknowledged so far. */
  accepted(): number;
  /** The longest that a session tried before a message of it was accepted. */
  longestOutageMs(): number;
  /** Times of `shortestOutageMs` and more that a session was without an accepted message, by the system's clock. */
  readonly outages: readonly Outage[];
  /** By the system's clock; 0 before the first. */
  lastAcceptedMs(): number;
  /** Those in which a message was accepted. */
  busySeconds(): number;
  readonly done: Promise<void>;
}

export interface Outage {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What is shorter is no outage. */
export const shortestOutageMs = 500;
const bigShare = 0.01;
const pairShare = 0.1;

function linesOf(sizeBytes: number): Buffer {
  const line = `${'postroad '.repeat(8)}\r\n`;
  return Buffer.from(line.repeat(Math.ceil(sizeBytes / line.length)));
}

const bodies = { small: linesOf(4 * 1024), big: linesOf(300 * 1024) };

export function startLoad(options: LoadOptions): Load {
  const { messages, sessions, random, signal, first = 0, domains = ['next.example'] } = options;
  const from = options.server === undefined ? {} : { server: options.server };
  const { rate = Number.POSITIVE_INFINITY, messagesPerSession = Number.POSITIVE_INFINITY } = options;
  const sent: SentMessage[] = [];
  const startedMs = performance.now();
  const busySeconds = new Set<number>();
  let next = 0;
  let longestMs = 0;
  let accepted = 0;
  let lastAcceptedMs = 0;
  const outages: Outage[] = [];

  function noteAccepted(tryingSinceMs: number): void {
    accepted++;
    const took = performance.now() - tryingSinceMs;
    longestMs = Math.max(longestMs, took);
    lastAcceptedMs = Date.now();
    if (took >= shortestOutageMs) outages.push({ fromMs: lastAcceptedMs - took, toMs: lastAcceptedMs });
    busySeconds.add(Math.floor((performance.now() - startedMs) / 1000));
  }

  async function session(): Promise<void> {
    let client: RawClient | undefined;
    let tryingSinceMs: number | undefined;
    let taken = 0;
    while (next < messages && !signal.aborted) {
      const number = next++;
      await until(startedMs + (number / rate) * 1000, signal);
      tryingSinceMs ??= performance.now();
      client = await openAgain(client, options);
      if (client === undefined) break;
      const message = compose(first + number, domains[number % domains.length] ?? '', random);
      const sentMs = performance.now();
      const result = await client.send(message);
      const tookMs = performance.now() - sentMs;
      sent.push({ recipients: message.recipients, result, atMs: Date.now(), tookMs, ...from });
      if (result.outcome !== 'accepted') {
        client = await leave(client);
        continue;
      }
      noteAccepted(tryingSinceMs);
      tryingSinceMs = undefined;
      if (++taken % messagesPerSession !== 0) continue;
      client = await leave(client);
    }
    await client?.quit();
  }

  return {
    sent,
    progress: () => next / messages,
    next: () => first + next,
    accepted: () => accepted,
    longestOutageMs: () => longestMs,
    outages,
    lastAcceptedMs: () => lastAcceptedMs,
    busySeconds: () => busySeconds.size,
    done: Promise.all(Array.from({ length: sessions }, session)).then(() => undefined),
  };
}

/** Whoever was refused or cut off asks anew, and perhaps another. */
async function leave(client: RawClient): Promise<undefined> {
  await client.quit();
}

async function until(timeMs: number, signal: AbortSignal): Promise<void> {
  const waitMs = timeMs - performance.now();
  if (waitMs <= 0) return;
  await delay(waitMs, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Until somebody listens; undefined when the sending ends first. */
async function openAgain(
  client: RawClient | undefined,
  { host, port, silenceMs, secured, reconnectMs = 10, signal }: LoadOptions,
): Promise<RawClient | undefined> {
  let open = client?.isOpen ? client : undefined;
  while (open === undefined && !signal.aborted) {
    try {
      open = await RawClient.open(port, host, silenceMs, secured);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      await delay(reconnectMs);
    }
  }
  return signal.aborted ? undefined : open;
}

function compose(number: number, domain: string, random: () => number): Submission {
  const body = random() < bigShare ? bodies.big : bodies.small;
  const names = random() < pairShare ? [`r${number}-0`, `r${number}-1`] : [`r${number}-0`];
  return {
    reversePath: `b${number}@example.com`,
    recipients: names.map(name => `${name}@${domain}`),
    content: contentOf(number, body),
    // A DSN need not bring the content back.
    mailParameters: 'RET=HDRS',
  };
}

function contentOf(number: number, body: Buffer): Buffer {
  const header = [
    `From: Audit <b${number}@example.com>`,
    'To: audit@next.example',
    `Subject: audit ${number}`,
    `Message-ID: <${number}@audit.example.com>`,
    'Date: Mon, 01 Jan 2024 00:00:00 +0000',
    `X-Audit-Id: ${number}`,
  ];
  return Buffer.concat([Buffer.from(`${header.join('\r\n')}\r\n\r\n`), body]);
}
