/** Messages in the form that enqueue.lua and settle.lua take, and claims in the form that claim.lua gives. */
import type { Reply } from '../../redis/connection.ts';
import type { Claim, NewMessage, Outcome, QueuedRecipient } from '../queue.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import {
  messageRecordOf,
  type PackedContent,
  parseOwnState,
  parseRecord,
  queuedRecipientOf,
  recordOf,
} from './codec.ts';
import { inlineContent, RemoteContent } from './content.ts';
import type { Asking } from './conversation.ts';
import type { Partition } from './keys.ts';

interface Group {
  readonly to: string;
  /** Indices. */
  readonly x: readonly number[];
  readonly token?: string;
}

export interface WireMessage {
  readonly id: string;
  readonly tenant: string;
  readonly n: number;
  readonly upload?: string;
  /** Of the upload. */
  readonly pieces?: number;
  readonly groups: readonly Group[];
}

export interface WiredMessage {
  readonly message: WireMessage;
  /** As JSON; not within the message, whose JSON the server would have to read it out of. */
  readonly record: string;
}

/** @throws QueueStoreError: a message without recipients would never be gone */
export function refuseWithoutRecipients({ recipients }: NewMessage): void {
  if (recipients.length === 0)
    throw new QueueStoreError('POSTROAD_QUEUE_REFUSED', 'A message without recipients cannot be queued.');
}

export function toWire(
  message: NewMessage,
  content: PackedContent,
  call: string,
  tokenOf?: (number: number) => string,
): WiredMessage {
  const groups = groupsOf(message).map(([to, x], index) => ({
    to,
    x,
    ...(tokenOf === undefined ? {} : { token: tokenOf(index + 1) }),
  }));
  return {
    message: {
      id: message.id,
      tenant: message.tenant,
      n: message.recipients.length,
      ...(content.pieces === 0 ? {} : { upload: call, pieces: content.pieces }),
      groups,
    },
    record: JSON.stringify(recordOf(message, content, call)),
  };
}

function groupsOf({ recipients }: NewMessage): [destination: string, indices: number[]][] {
  const groups = new Map<string, number[]>();
  for (const [index, { destination }] of recipients.entries()) {
    const its = groups.get(destination);
    if (its === undefined) groups.set(destination, [index]);
    else its.push(index);
  }
  return [...groups];
}

export function bodyOf({ head }: NewMessage, { body }: PackedContent): Buffer {
  return Buffer.concat([head, body]);
}

/** [index, result, delayMs, attempted, warned, reason, reply], all there, since Lua's tables have no holes. */
export function toWireOutcome(outcome: Outcome, nowMs: number): readonly (string | number)[] {
  const { index, result } = outcome;
  if (outcome.result !== 'Deferred') return [index, result, 0, 0, 0, '', ''];
  const { nextAttemptTimeMs, attempted, delayWarned, reason, reply } = outcome;
  const json = reply === undefined ? '' : JSON.stringify(reply);
  return [index, result, nextAttemptTimeMs - nowMs, attempted ? 1 : 0, delayWarned ? 1 : 0, reason, json];
}

/** Of a message that was born leased; what its recipients say is what was asked. */
export function bornLeased(
  message: NewMessage,
  wire: WireMessage,
  rest: Pick<Claim, 'content' | 'leaseExpiryTimeMs' | 'leaseEra'>,
): Claim[] {
  const { id, sender, tenant, policy, tls, receivedTimeMs, expiryTimeMs, head, recipients } = message;
  const demanded = tls === undefined ? {} : { tls };
  const record = { id, sender, tenant, policy, ...demanded, receivedTimeMs, expiryTimeMs };
  return wire.groups.map(({ to, x, token = '' }) => ({
    token,
    message: record,
    head,
    destination: to,
    recipients: x.flatMap((index): QueuedRecipient[] => {
      const recipient = recipients[index];
      return recipient === undefined ? [] : [{ ...recipient, index, attempts: 0, delayWarned: false }];
    }),
    dueTimeMs: receivedTimeMs,
    ...rest,
  }));
}

export function toClaim(
  reply: Reply,
  where: {
    readonly conversation: Asking;
    readonly partition: Partition;
    readonly leaseExpiryTimeMs: number;
    /** Of the server's clock to ours. */
    readonly offsetMs: number;
  },
): Claim {
  const [token, id, destination, indices, states, json, body] = reply as [
    Buffer,
    Buffer,
    Buffer,
    number[],
    Buffer[],
    Buffer,
    Buffer,
  ];
  const record = parseRecord(json.toString());
  const name = id.toString();
  const own = states.map(state => parseOwnState(String(state)));
  const dueTimes = own.map(({ due }) => (due === 0 ? record.rt : due + where.offsetMs));
  return {
    token: token.toString(),
    message: messageRecordOf(name, record),
    head: body.subarray(0, record.hb),
    content: record.n === 0 ? inlineContent(body, record) : new RemoteContent({ ...where, id: name }, record),
    destination: destination.toString(),
    recipients: indices.map((index, at) => queuedRecipientOf(record, index, own[at] ?? parseOwnState(''))),
    dueTimeMs: Math.min(...dueTimes),
    leaseExpiryTimeMs: where.leaseExpiryTimeMs,
  };
}
