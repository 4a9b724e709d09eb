/** Contents on their way to Redis and back. Small ones travel with their message, large ones in pieces, so that neither side holds one whole. */
import { type Content, QueueFullError } from '../queue.ts';
import { MemoryContent } from '../sqlite/content.ts';
import { SpooledBytes } from '../sqlite/spool.ts';
import { compress, decompress, type PackedContent, type StoredRecord } from './codec.ts';
import type { Asking } from './conversation.ts';
import { bodyKey, type Partition, uploadKey } from './keys.ts';

/** Contents up to this size travel with their message. */
export const inlineLimitBytes = 256 * 1024;
const pieceBytes = 256 * 1024;
/** Below it, compressing costs the relay more than the moment in the server's memory that most such messages need is worth. */
const leavesSoonBytes = 16 * 1024;
/** An upload whose relay died goes by itself. */
const uploadLifeMs = 10 * 60_000;
const [plain, packed] = [Buffer.from([0]), Buffer.from([1])];

export interface Upload {
  readonly conversation: Asking;
  readonly partition: Partition;
  /** Its name until its message is stored. */
  readonly upload: string;
}

/** Ready to be stored with its message; a large one is in Redis already. `leavesSoon`: it is about to be delivered. */
export async function packContent(
  content: Content,
  upload: Upload,
  { leavesSoon = false } = {},
): Promise<PackedContent> {
  const { bytes } = content;
  if (bytes === undefined || bytes.length > inlineLimitBytes)
    return await roomAgainWhenFull(upload, () => uploadContent(content, upload));
  const compressed = leavesSoon && bytes.length < leavesSoonBytes ? undefined : compress(bytes);
  return { body: compressed ?? bytes, pieces: 0, compressed: compressed !== undefined };
}

/** What a full server has of a content that it had no room for would keep other mail away until it goes by itself. */
export async function roomAgainWhenFull<T>(
  { conversation, partition, upload }: Upload,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const key = uploadKey(partition, upload);
    if (error instanceof QueueFullError) await Promise.allSettled([conversation.command(partition, ['UNLINK', key])]);
    throw error;
  }
}

async function uploadContent(content: Content, { conversation, partition, upload }: Upload): Promise<PackedContent> {
  let pieces = 0;
  for await (const piece of inPieces(content)) {
    const compressed = compress(piece);
    const value = Buffer.concat(compressed === undefined ? [plain, piece] : [packed, compressed]);
    const asked = { upload, piece: pieces, lifeMs: uploadLifeMs };
    await conversation.ask({ partition, script: 'upload', asked, bodies: [value] }, { repeatable: true });
    pieces += 1;
  }
  return { body: Buffer.alloc(0), pieces, compressed: false };
}

async function* inPieces(content: Content): AsyncIterable<Buffer> {
  let chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of content.read()) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + pieceBytes - bytes);
      chunks.push(part);
      bytes += part.length;
      at += part.length;
      if (bytes < pieceBytes) continue;
      yield Buffer.concat(chunks);
      chunks = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(chunks);
}

/** In Redis, read a piece at a time. */
export class RemoteContent implements Content {
  readonly bytes = undefined;
  readonly sizeBytes: number;
  readonly #conversation: Asking;
  readonly #partition: Partition;
  readonly #id: string;
  readonly #pieces: number;

  constructor(where: { conversation: Asking; partition: Partition; id: string }, record: StoredRecord) {
    this.#conversation = where.conversation;
    this.#partition = where.partition;
    this.#id = where.id;
    this.sizeBytes = record.z;
    this.#pieces = record.n;
  }

  async *read(): AsyncIterable<Buffer> {
    let left = this.sizeBytes;
    for (let piece = 0; piece < this.#pieces; piece += 1) {
      const value = await this.#conversation.command(this.#partition, [
        'HGET',
        bodyKey(this.#partition, this.#id),
        piece,
      ]);
      // Half a message must not be delivered as a whole one.
      if (!Buffer.isBuffer(value)) throw new Error(`A content is gone from Redis, ${left} bytes before its end.`);
      const bytes = value[0] === 1 ? decompress(value.subarray(1), pieceBytes) : value.subarray(1);
      left -= bytes.length;
      yield bytes;
    }
    if (left !== 0) throw new Error(`A content in Redis has lost ${left} of its ${this.sizeBytes} bytes.`);
  }
}

/** What stands behind the head. */
export function inlineContent(body: Buffer, { hb, z, c }: StoredRecord): Content {
  const stored = body.subarray(hb);
  const bytes = c === 1 ? decompress(stored, z) : stored;
  if (bytes.length !== z) throw new Error(`A content in Redis has ${bytes.length} of its ${z} bytes.`);
  return new MemoryContent(bytes);
}

/** It no longer counts against the memory for contents that are being received. */
export function releaseMemory(content: Content): void {
  if (content instanceof SpooledBytes) content.release();
}
