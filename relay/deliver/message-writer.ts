/** Writes the content of a message to a next hop, at the next hop's pace. Knows framing, not replies. */
import type { Socket } from 'node:net';
import type { Content } from '../queue/queue.ts';
import { Framer, UnsafeContentError } from './content.ts';

export interface Message {
  readonly head: Buffer;
  readonly content: Content;
}

export type Framing = 'Data' | 'Bdat';

/** Up to this size a message is written in one go, and is not worth holding back until its recipients are accepted. */
const inlineBytes = 256 * 1024;

export class MessageWriter {
  readonly #socket: Socket;
  /** Called when the next hop has taken more bytes. */
  readonly #onProgress: () => void;

  constructor(socket: Socket, onProgress: () => void) {
    this.#socket = socket;
    this.#onProgress = onProgress;
  }

  /** Writes it all when it is in memory; else returns when it is written, or is no longer wanted. @throws UnsafeContentError */
  send(message: Message, framing: Framing, wanted: () => boolean): Promise<boolean> | undefined {
    const framer = new Framer(framing);
    const pieces = framing === 'Bdat' ? [bdatCommand(message)] : [];
    pieces.push(...framer.push(message.head));
    if (message.content.bytes === undefined) return this.#stream({ message, framer, wanted }, pieces);
    for (const piece of framer.push(message.content.bytes)) pieces.push(piece);
    pieces.push(framer.end());
    this.#write(pieces);
    return undefined;
  }

  /** A message too large to be in memory. false: no longer wanted. */
  async #stream({ message, framer, wanted }: Stream, first: readonly Buffer[]): Promise<boolean> {
    let left = message.content.sizeBytes;
    await this.#writeAndWait(first);
    for await (const chunk of message.content.read()) {
      if (!wanted()) return false;
      left -= chunk.length;
      if (left < 0) break;
      await this.#writeAndWait(framer.push(chunk));
    }
    if (!wanted()) return false;
    if (left !== 0) throw new Error('the stored content is not as long as it should be');
    this.#write([framer.end()]);
    return true;
  }

  /** Whether the socket takes more at once. Small pieces go out as one, so that TLS makes one record of them. */
  #write(pieces: readonly Buffer[]): boolean {
    let total = 0;
    for (const piece of pieces) total += piece.length;
    if (pieces.length > 1 && total <= inlineBytes) return this.#socket.write(Buffer.concat(pieces, total));
    this.#socket.cork();
    let takesMore = true;
    for (const piece of pieces) if (piece.length > 0) takesMore = this.#socket.write(piece);
    this.#socket.uncork();
    return takesMore;
  }

  async #writeAndWait(pieces: readonly Buffer[]): Promise<void> {
    if (this.#write(pieces) || this.#socket.destroyed) return;
    await new Promise<void>(resolve => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
    this.#onProgress();
  }
}

interface Stream {
  readonly message: Message;
  readonly framer: Framer;
  readonly wanted: () => boolean;
}

/**
 * Envelope and message as one write, when the message is in memory, small and fit to be sent; what is not is met again, and
 * reported, when the content's turn comes.
 */
export function wholeBdat(envelope: string, message: Message): Buffer | undefined {
  const { head, content } = message;
  if (content.bytes === undefined || head.length + content.bytes.length > inlineBytes) return undefined;
  const framer = new Framer('Bdat');
  try {
    framer.push(head);
    framer.push(content.bytes);
    framer.end();
  } catch (cause) {
    if (cause instanceof UnsafeContentError) return undefined;
    throw cause;
  }
  return Buffer.concat([Buffer.from(envelope, 'utf8'), bdatCommand(message), head, content.bytes]);
}

/** RFC 3030 s2: one chunk, whose size is known, is the whole message. */
function bdatCommand({ head, content }: Message): Buffer {
  return Buffer.from(`BDAT ${head.length + content.sizeBytes} LAST\r\n`, 'latin1');
}
