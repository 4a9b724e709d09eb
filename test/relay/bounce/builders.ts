import type { RecipientEvent } from '../../../relay/bounce/decision.ts';
import type { Claim, Content, MessageRecord } from '../../../relay/queue/queue.ts';
import type { EnvelopeSender } from '../../../relay/smtp/envelope.ts';
import { parsePath } from '../../../relay/smtp/path.ts';

export const receivedTimeMs = Date.UTC(2026, 0, 5, 9, 0, 0);
export const nowMs = receivedTimeMs + 90 * 60_000;

export function buildSender(changes: Partial<EnvelopeSender> = {}): EnvelopeSender {
  const reversePath = parsePath('app@shop.example.com', { smtputf8: false }) ?? null;
  return { reversePath, body: '7BIT', smtputf8: false, requireTls: false, ...changes };
}

export function buildMessage(changes: Partial<MessageRecord> = {}): MessageRecord {
  return {
    id: '0001original',
    sender: buildSender(),
    tenant: 'shop',
    policy: 'shop/shop',
    receivedTimeMs,
    expiryTimeMs: receivedTimeMs + 432_000_000,
    ...changes,
  };
}

/** Given in chunks of 1000 bytes and without `bytes`, as a large content is. */
export function buildContent(bytes: Buffer): Content {
  return {
    sizeBytes: bytes.length,
    bytes: undefined,
    async *read() {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    },
  };
}

export const original =
  'From: App <app@shop.example.com>\r\nSubject: Order 1\r\nMessage-ID: <order-1@shop.example.com>\r\n\r\nThank you.\r\n';

export function buildClaim(
  message: Partial<MessageRecord> = {},
  content: string | Buffer = original,
): Pick<Claim, 'message' | 'head' | 'content'> {
  return {
    message: buildMessage(message),
    head: Buffer.from('Received: from app by mail.example.com; Mon, 05 Jan 2026 09:00:00 +0000\r\n'),
    content: buildContent(Buffer.from(content)),
  };
}

export function buildEvent(
  changes: Partial<Omit<RecipientEvent, 'recipient'>> & {
    readonly recipient?: Partial<RecipientEvent['recipient']>;
  } = {},
): RecipientEvent {
  const { recipient, ...others } = changes;
  return {
    action: 'failed',
    reason: 'RemoteRejected',
    lastAttemptTimeMs: nowMs - 1000,
    ...others,
    recipient: {
      forwardPath: 'bob@example.net',
      domain: 'example.net',
      destination: 'direct/example.net',
      notify: [],
      index: 0,
      attempts: 1,
      delayWarned: false,
      ...recipient,
    },
  };
}
