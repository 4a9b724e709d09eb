/** Cuts what a next hop sends into replies (RFC 5321 s4.2). Bounded: a peer that never ends a reply is cut off. */
import type { Reply } from '../smtp/reply.ts';

/** RFC 5321 s4.5.3.1.5 allows 512 octets a line; real ones are longer. */
const maxReplyBytes = 64 * 1024;
/** What is kept of a reply's text, for logs and DSNs. */
const maxTextLength = 2000;
const enhancedCode = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;
const controls = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

export class ReplyReader {
  readonly #onReply: (answer: Reply) => void;
  /** Bytes as latin1, so that a character split between chunks survives. */
  #rest = '';
  #lines: string[] = [];
  #sizeBytes = 0;

  constructor(onReply: (answer: Reply) => void) {
    this.#onReply = onReply;
  }

  /** Whether nothing has come of a reply that is not whole. */
  get empty(): boolean {
    return this.#rest === '' && this.#lines.length === 0;
  }

  /** false: this is not SMTP, or has no end. */
  push(chunk: Buffer): boolean {
    const data = this.#rest + chunk.toString('latin1');
    this.#sizeBytes += chunk.length;
    let from = 0;
    for (let end = data.indexOf('\n'); end >= 0; end = data.indexOf('\n', from)) {
      const line = data.slice(from, data.charCodeAt(end - 1) === 13 ? end - 1 : end);
      from = end + 1;
      if (!this.#takeLine(line)) return false;
    }
    this.#rest = from === 0 ? data : data.slice(from);
    if (this.empty) this.#sizeBytes = 0;
    return this.#sizeBytes <= maxReplyBytes;
  }

  #takeLine(line: string): boolean {
    const code = codeOf(line);
    if (code === 0) return false;
    const more = line.charCodeAt(3) === 45;
    if (more) {
      this.#lines.push(line.slice(4));
      return this.#sizeBytes <= maxReplyBytes;
    }
    const last = line.slice(4);
    if (this.#lines.length === 0) {
      this.#onReply(parseReply(code, [last]));
    } else {
      this.#lines.push(last);
      const lines = this.#lines;
      this.#lines = [];
      this.#onReply(parseReply(code, lines));
    }
    this.#sizeBytes = this.empty ? 0 : this.#sizeBytes;
    return true;
  }
}

/** 0 when the line does not begin as a reply does. */
function codeOf(line: string): number {
  const hundreds = line.charCodeAt(0) - 48;
  const tens = line.charCodeAt(1) - 48;
  const ones = line.charCodeAt(2) - 48;
  const inRange = hundreds >= 2 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
  const separator = line.charCodeAt(3);
  if (!inRange || !(line.length === 3 || separator === 32 || separator === 45)) return 0;
  return hundreds * 100 + tens * 10 + ones;
}

/** `lines` without code and separator, each character a byte. */
export function parseReply(code: number, lines: readonly string[]): Reply {
  const enhanced = enhancedCode.exec(lines[0] ?? '')?.[1] ?? '';
  const plain = enhanced === '' ? lines : lines.map(line => withoutEnhanced(line, enhanced));
  return { code, enhanced, text: decode(plain.join('\n').slice(0, maxTextLength)) };
}

function withoutEnhanced(line: string, enhanced: string): string {
  return line.startsWith(enhanced) ? line.slice(enhanced.length).trimStart() : line;
}

/** UTF-8 where it is (RFC 6531 s3.7.4.2), else byte for byte; control characters have no business in logs and DSNs. */
function decode(bytes: string): string {
  let text = bytes;
  if (/[\u0080-\u00ff]/.test(bytes)) {
    const utf8 = Buffer.from(bytes, 'latin1').toString('utf8');
    text = utf8.includes('\ufffd') ? bytes : utf8;
  }
  return text.replace(controls, ' ');
}
