/** Brings a message to be stored into the form the worker takes: its row, and the pieces that go into the row. */
import { type Content, type NewMessage, QueueFullError } from '../queue.ts';
import { encodeNotify, encodeSender } from './columns.ts';
import { ContentSpool, SpooledBytes, SpooledFile, type SpoolPlace } from './spool.ts';
import type { SpoolFile } from './spool-file.ts';
import type { MessageRow, RecipientRow } from './wire.ts';

export interface Lodged {
  readonly row: MessageRow;
  readonly pieces: readonly Uint8Array[];
  /** Where the content is from now on, once the row is durable. */
  readonly content: Content;
  /** The row is durable. */
  kept(): void;
  /** The row was refused. */
  unkept(): Promise<void> | undefined;
}

/** Synchronous for contents in memory, which is most mail: no promise is made for them. */
export function lodge(message: NewMessage, place: SpoolPlace): Lodged | Promise<Lodged> {
  const { content } = message;
  if (content.bytes !== undefined && content.bytes.length <= place.inlineLimitBytes)
    return lodgeBytes(message, content.bytes);
  if (content instanceof SpooledFile && content.file.free) return lodgeFile(message, content.file, content);
  return lodgeCopy(message, place);
}

function lodgeBytes(message: NewMessage, bytes: Buffer): Lodged {
  const { content, head } = message;
  const row = rowOf(message, { file: null, contentBytes: bytes.length });
  const kept = () => {
    if (content instanceof SpooledBytes) content.release();
  };
  return { row, pieces: [head, bytes], content, kept, unkept: () => undefined };
}

async function lodgeFile(message: NewMessage, file: SpoolFile, content: Content): Promise<Lodged> {
  try {
    await file.lodge();
  } catch (error) {
    await file.unkept();
    throw error;
  }
  const row = rowOf(message, { file: file.name, contentBytes: 0 });
  return { row, pieces: [message.head], content, kept: () => file.kept(), unkept: () => file.unkept() };
}

/** A content from elsewhere, too large for the row (a DSN that returns a message whole): it gets a file of its own. */
async function lodgeCopy(message: NewMessage, place: SpoolPlace): Promise<Lodged> {
  const spool = new ContentSpool({ ...place, inlineLimitBytes: 0 });
  try {
    for await (const chunk of message.content.read()) await spool.write(chunk);
    const content = await spool.finish();
    if (!(content instanceof SpooledFile)) throw new QueueFullError('A content gave no bytes.');
    const lodged = await lodgeFile(message, content.file, content);
    return { ...lodged, unkept: () => content.file.unkept().then(() => spool.discard()) };
  } catch (error) {
    await spool.discard();
    throw error;
  }
}

function rowOf(message: NewMessage, { file, contentBytes }: Pick<MessageRow, 'file' | 'contentBytes'>): MessageRow {
  return {
    id: message.id,
    tenant: message.tenant,
    policy: message.policy,
    received: message.receivedTimeMs,
    expiry: message.expiryTimeMs,
    sender: encodeSender(message),
    at: 0,
    headBytes: message.head.length,
    contentBytes,
    size: message.content.sizeBytes,
    file,
    recipients: message.recipients.map(
      ({ forwardPath, domain, destination, notify, orcpt }): RecipientRow => ({
        path: forwardPath,
        domain,
        destination,
        notify: encodeNotify(notify),
        ...(orcpt === undefined ? {} : { orcpt }),
      }),
    ),
  };
}
