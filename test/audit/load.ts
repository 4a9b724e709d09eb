/** The audit's client: many sessions, each message with recipients of its own, each outcome written down. */
import { setTimeout as delay } from 'node:timers/promises';
import { RawClient, type Submission } from '../support/raw-client.ts';
import type { SentMessage } from './verdict.ts';

export interface LoadOptions {
  readonly port: number;
  readonly messages: number;
  readonly sessions: number;
  readonly random: () => number;
  /** Ends the sending, whatever is left. */
  readonly signal: AbortSignal;
  /** Number of its first message, where several loads must not be mistaken for each other. */
  readonly first?: number;
}

export interface Load {
  readonly sent: readonly SentMessage[];
  /** Of 1, by messages. */
  progress(): number;
  /** The longest that a session was without an accepted message because the relay was away. */
  longestOutageMs(): number;
  /** Times of half a second and more that a session was without an accepted message, by the system's clock. */
  readonly outages: readonly Outage[];
  /** By the system's clock; 0 before the first. */
  lastAcceptedMs(): number;
  readonly done: Promise<void>;
}

export interface Outage {
  readonly fromMs: number;
  readonly toMs: number;
}

const outageMs = 500;
const bigShare = 0.01;
const pairShare = 0.1;
const reconnectMs = 10;

function linesOf(sizeBytes: number): Buffer {
  const line = `${'postroad '.repeat(8)}\r\n`;
  return Buffer.from(line.repeat(Math.ceil(sizeBytes / line.length)));
}

const bodies = { small: linesOf(4 * 1024), big: linesOf(300 * 1024) };

export function startLoad({ port, messages, sessions, random, signal, first = 0 }: LoadOptions): Load {
  const sent: SentMessage[] = [];
  let next = 0;
  let longestMs = 0;
  let lastAcceptedMs = 0;
  const outages: Outage[] = [];

  async function session(): Promise<void> {
    let client: RawClient | undefined;
    let heardMs = performance.now();
    while (next < messages && !signal.aborted) {
      client = client?.isOpen ? client : await open(port);
      if (client === undefined) continue;
      const message = compose(first + next++, random);
      const result = await client.send(message);
      sent.push({ recipients: message.recipients, result });
      if (result.outcome !== 'accepted') continue;
      const took = performance.now() - heardMs;
      longestMs = Math.max(longestMs, took);
      lastAcceptedMs = Date.now();
      if (took >= outageMs) outages.push({ fromMs: lastAcceptedMs - took, toMs: lastAcceptedMs });
      heardMs = performance.now();
    }
    await client?.quit();
  }

  return {
    sent,
    progress: () => next / messages,
    longestOutageMs: () => longestMs,
    outages,
    lastAcceptedMs: () => lastAcceptedMs,
    done: Promise.all(Array.from({ length: sessions }, session)).then(() => undefined),
  };
}

/** Nothing when the relay is away, after a short wait. */
async function open(port: number): Promise<RawClient | undefined> {
  try {
    return await RawClient.open(port);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await delay(reconnectMs);
    return undefined;
  }
}

function compose(number: number, random: () => number): Submission {
  const body = random() < bigShare ? bodies.big : bodies.small;
  const names = random() < pairShare ? [`r${number}-0`, `r${number}-1`] : [`r${number}-0`];
  return {
    reversePath: `b${number}@example.com`,
    recipients: names.map(name => `${name}@next.example`),
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
