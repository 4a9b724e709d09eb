/** Messages and a clock for the tests of the queue. */
import type { Clock } from '../../../relay/clock.ts';
import type { Claim, Content, NewMessage, NewRecipient, Outcome, Queue } from '../../../relay/queue/queue.ts';

export interface TestClock extends Clock {
  advance(ms: number): void;
}

export function createTestClock(nowMs = 1_800_000_000_000): TestClock {
  let now = nowMs;
  return {
    now: () => now,
    sleep: () => Promise.reject(new Error('Nothing in the queue may sleep.')),
    advance(ms) {
      now += ms;
    },
  };
}

export function contentOf(text: string | Buffer): Content {
  const bytes = Buffer.from(text);
  return {
    sizeBytes: bytes.length,
    bytes,
    async *read() {
      yield bytes;
    },
  };
}

export function to(forwardPath: string, rest: Partial<NewRecipient> = {}): NewRecipient {
  const domain = forwardPath.slice(forwardPath.lastIndexOf('@') + 1);
  return { forwardPath, domain, destination: `direct/${domain}`, notify: [], ...rest };
}

let lastId = 0;

export function nextId(): string {
  lastId += 1;
  return `id${String(lastId).padStart(10, '0')}`;
}

export function message(clock: Clock, rest: Partial<NewMessage> = {}): NewMessage {
  return {
    id: nextId(),
    sender: {
      reversePath: { text: 'a@shop.example', localPart: 'a', domain: 'shop.example' },
      body: '8BITMIME',
      smtputf8: false,
      requireTls: false,
    },
    tenant: 'shop',
    policy: 'shop/mail',
    receivedTimeMs: clock.now(),
    expiryTimeMs: clock.now() + 432_000_000,
    head: Buffer.from('Received: from x\r\n'),
    content: contentOf('Subject: hello\r\n\r\nhello\r\n'),
    recipients: [to('b@there.example')],
    ...rest,
  };
}

export const everything = { limit: 1000, limitPerDestination: 1000, leaseMs: 60_000 };

export async function readAll(content: Content): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function delivered(claim: Claim): Outcome[] {
  return claim.recipients.map(({ index }) => ({ index, result: 'Delivered' }));
}

export function deferred(claim: Claim, nextAttemptTimeMs: number): Outcome[] {
  const rest = { reason: 'RemoteDeferred', nextAttemptTimeMs, attempted: true, delayWarned: false };
  return claim.recipients.map(({ index }) => ({ index, result: 'Deferred', ...rest }));
}

export function deliver(queue: Queue, claim: Claim): Promise<void> {
  return queue.settle({ claim, outcomes: delivered(claim), messages: [] });
}

export function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`One was expected, there are ${items.length}.`);
  return item;
}

export function paths(claims: readonly Claim[]): string[] {
  return claims.flatMap(claim => claim.recipients.map(recipient => recipient.forwardPath));
}
