import { join } from 'node:path';
import type { Claim, NewMessage, QueuedRecipient } from '../queue.ts';
import { decodeNotify, decodeSender } from './columns.ts';
import { FileContent, MemoryContent } from './content.ts';
import type { Claimed, ClaimedMessage, ClaimedRecipient } from './wire.ts';

/** Lease tokens are `<epoch>.<number>`: a token of a former opening of the queue never fits a lease of this one. */
export interface Tokens {
  format(token: number): string;
  /** 0, which no lease has, for tokens that are not of this epoch. */
  parse(token: string): number;
  /** One for each destination; odd numbers, the worker gives even ones. */
  forMessage(message: NewMessage): Readonly<Record<string, number>>;
  bornLeased(message: NewMessage, tokens: Readonly<Record<string, number>>, leaseExpiryTimeMs: number): Claim[];
}

export function createClaims(epoch: number): Tokens {
  const prefix = `${epoch}.`;
  let last = -1;
  const format = (token: number) => `${prefix}${token}`;
  return {
    format,

    parse(token) {
      const number = token.startsWith(prefix) ? Number(token.slice(prefix.length)) : 0;
      return Number.isSafeInteger(number) ? number : 0;
    },

    forMessage({ recipients }) {
      const destinations = new Set(recipients.map(({ destination }) => destination));
      return Object.fromEntries(
        [...destinations].map(destination => {
          last += 2;
          return [destination, last];
        }),
      );
    },

    bornLeased({ head, content, recipients, ...rest }, tokens, leaseExpiryTimeMs) {
      const { id, sender, tenant, policy, tls, receivedTimeMs, expiryTimeMs } = rest;
      const demanded = tls === undefined ? {} : { tls };
      const message = { id, sender, tenant, policy, ...demanded, receivedTimeMs, expiryTimeMs };
      const byDestination = new Map<string, QueuedRecipient[]>();
      for (const [index, recipient] of recipients.entries()) {
        const queued = { ...recipient, index, attempts: 0, delayWarned: false };
        const its = byDestination.get(recipient.destination);
        if (its === undefined) byDestination.set(recipient.destination, [queued]);
        else its.push(queued);
      }
      return [...byDestination].map(([destination, its]) => ({
        token: format(tokens[destination] ?? 0),
        message,
        head,
        content,
        destination,
        recipients: its,
        dueTimeMs: receivedTimeMs,
        leaseExpiryTimeMs,
      }));
    },
  };
}

interface ClaimFrame {
  readonly token: string;
  readonly leaseExpiryTimeMs: number;
  readonly spoolFolder: string;
  /** Head, and behind it the content, when that is not a file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Written by the other thread of this very version: nothing to doubt. */
export function messagesOf({ messages }: Claimed): readonly ClaimedMessage[] {
  return JSON.parse(messages);
}

export function toClaim(claimed: ClaimedMessage, { token, leaseExpiryTimeMs, spoolFolder, bytes }: ClaimFrame): Claim {
  const { id, tenant, policy, received, expiry, sender, size, file, headBytes, destination } = claimed;
  const { buffer, byteOffset, length } = bytes;
  return {
    token,
    message: { id, ...decodeSender(sender), tenant, policy, receivedTimeMs: received, expiryTimeMs: expiry },
    head: Buffer.from(buffer, byteOffset, headBytes),
    content:
      file === null
        ? new MemoryContent(Buffer.from(buffer, byteOffset + headBytes, length - headBytes))
        : new FileContent(join(spoolFolder, file), size),
    destination,
    recipients: claimed.recipients.map(toQueuedRecipient),
    dueTimeMs: claimed.due,
    leaseExpiryTimeMs,
  };
}

function toQueuedRecipient(recipient: ClaimedRecipient): QueuedRecipient {
  const { path, domain, destination, notify, orcpt, index, attempts, delayWarned } = recipient;
  return {
    forwardPath: path,
    domain,
    destination,
    notify: decodeNotify(notify),
    index,
    attempts,
    delayWarned,
    ...(orcpt === undefined ? {} : { orcpt }),
  };
}
