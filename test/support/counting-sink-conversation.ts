/** One SMTP conversation of the counting sink. Raw on purpose: it must outrun what it measures, and share no code with it. */
import type { Socket } from 'node:net';
import { SinkContent } from './counting-sink-content.ts';
import type { SinkLedger, Verdict } from './counting-sink-ledger.ts';

const extensions = ['PIPELINING', 'SIZE 104857600', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES'];
const ehloReply = ['sink.test', ...extensions].map(
  (line, at, all) => `250${at < all.length - 1 ? '-' : ' '}${line}\r\n`,
);
const lineEnd = Buffer.from('\r\n');
const finalDot = Buffer.from('\r\n.\r\n');
const bytesKept = 1024 * 1024;

interface Transaction {
  readonly begunMs: number;
  readonly isDsn: boolean;
  readonly taken: string[];
  readonly atEnd: Verdict[];
  first: string | undefined;
}

export class SinkConversation {
  readonly #socket: Socket;
  readonly #ledger: SinkLedger;
  readonly #connection: number;
  #transaction: Transaction | undefined;
  /** A line cut short, or the last bytes of a content's chunk, which may be the beginning of the final dot. */
  #rest: Buffer = Buffer.alloc(0);
  #content: SinkContent | undefined;
  #dropping: 'before' | 'after' | undefined;
  #quits = false;
  #client = '';
  /** Replies to pipelined commands leave in one write, as RFC 2920 s3.2 allows. */
  #replies = '';

  constructor(socket: Socket, ledger: SinkLedger) {
    this.#socket = socket;
    this.#ledger = ledger;
    this.#connection = ledger.connect();
    socket.write('220 sink.test ESMTP\r\n');
  }

  end(): void {
    this.#ledger.disconnect(this.#connection);
  }

  receive(chunk: Buffer): void {
    let input: Buffer | undefined = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = Buffer.alloc(0);
    while (input !== undefined && input.length > 0 && !this.#socket.destroyed) {
      input = this.#content === undefined ? this.#takeLine(input) : this.#takeContent(input, this.#content);
    }
    if (this.#socket.destroyed) return;
    if (this.#replies !== '') this.#socket.write(this.#replies);
    this.#replies = '';
    if (this.#quits) this.#socket.end();
  }

  #takeLine(input: Buffer): Buffer | undefined {
    const end = input.indexOf('\r\n');
    if (end < 0) {
      this.#rest = input;
      return undefined;
    }
    this.#replies += this.#reply(input.toString('utf8', 0, end));
    return input.subarray(end + 2);
  }

  #takeContent(input: Buffer, content: SinkContent): Buffer | undefined {
    const end = input.indexOf(finalDot);
    if (end < 0) {
      const safe = Math.max(0, input.length - (finalDot.length - 1));
      content.write(input.subarray(0, safe));
      this.#rest = input.subarray(safe);
      if (content.sizeBytes > 0 && this.#dropping === 'before') this.#socket.destroy();
      return undefined;
    }
    // The CRLF before the dot belongs to the content (RFC 5321 s4.1.1.4).
    content.write(input.subarray(0, end + 2));
    this.#content = undefined;
    const reply = this.#finish(content);
    if (reply === '') this.#socket.destroy();
    this.#replies += reply;
    return input.subarray(end + finalDot.length);
  }

  #reply(line: string): string {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'MAIL') return this.#mail(line);
    if (verb === 'RCPT') return this.#rcpt(line);
    if (verb === 'DATA') return this.#data();
    if (verb === 'EHLO') return this.#ehlo(line);
    if (verb === 'QUIT') {
      this.#quits = true;
      return '221 2.0.0 bye\r\n';
    }
    if (verb === 'RSET') this.#transaction = undefined;
    const known = verb === 'RSET' || verb === 'NOOP' || verb === 'HELO';
    return known ? '250 2.0.0 ok\r\n' : '500 5.5.1 unknown\r\n';
  }

  #ehlo(line: string): string {
    this.#client = line.slice(5);
    return ehloReply.join('');
  }

  #mail(line: string): string {
    this.#transaction = { begunMs: Date.now(), isDsn: pathOf(line) === '', taken: [], atEnd: [], first: undefined };
    return '250 2.1.0 ok\r\n';
  }

  #rcpt(line: string): string {
    const transaction = this.#transaction;
    if (transaction === undefined) return '503 5.5.1 MAIL first\r\n';
    const recipient = pathOf(line);
    const verdict = this.#ledger.judge(recipient, transaction.isDsn);
    if (verdict === 'deferNow') return this.#turnDown('deferred', 1, '450 4.2.1 try later');
    if (verdict === 'refuseNow') return this.#turnDown('refused', 1, '550 5.1.1 no such mailbox');
    transaction.first ??= recipient;
    transaction.taken.push(recipient);
    transaction.atEnd.push(verdict);
    return '250 2.1.5 ok\r\n';
  }

  #turnDown(what: 'deferred' | 'refused', recipients: number, reply: string): string {
    this.#ledger.count(what, recipients);
    return `${reply}\r\n`;
  }

  #data(): string {
    const transaction = this.#transaction;
    if (transaction?.first === undefined) return '503 5.5.1 RCPT first\r\n';
    this.#dropping = this.#ledger.dropsAt(transaction.first);
    const keeps = transaction.isDsn || this.#ledger.keeps(transaction.first);
    this.#content = new SinkContent(keeps ? bytesKept : 0, this.#ledger.hashBodies);
    // The final dot is known by the line ends around it; this one stands for DATA's own.
    this.#rest = lineEnd;
    return '354 go on\r\n';
  }

  /** The final reply is for all recipients: the first that is unhappy speaks for them. Empty: the connection is cut instead. */
  #finish(content: SinkContent): string {
    const transaction = this.#transaction;
    this.#transaction = undefined;
    if (transaction === undefined || this.#dropping === 'before') return '';
    const { begunMs, taken, atEnd } = transaction;
    if (atEnd.includes('deferAtEnd')) return this.#turnDown('deferred', taken.length, '451 4.3.0 not now');
    if (atEnd.includes('refuseAtEnd')) return this.#turnDown('refused', taken.length, '554 5.7.1 content refused');
    const dropped = this.#dropping === 'after';
    const failed = transaction.isDsn ? { failed: failedRecipients(content.kept().toString('utf8')) } : {};
    this.#ledger.take(taken, { begunMs, connection: this.#connection, client: this.#client, dropped, ...failed });
    const [first = ''] = taken;
    if (this.#ledger.keeps(first)) this.#ledger.keep(first, content.kept());
    const body = content.body();
    if (body !== undefined) this.#ledger.hashed(taken, body);
    return dropped ? '' : '250 2.0.0 taken\r\n';
  }
}

/** What is between the angle brackets of MAIL or RCPT. */
function pathOf(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.indexOf('>'));
}

/** RFC 3464 s2.3: the recipient groups of a DSN whose action is failed. */
function failedRecipients(dsn: string): string[] {
  const groups = dsn.split(/\r\n\r\n/).filter(group => /^action: *failed\b/im.test(group));
  return groups.flatMap(group => /^final-recipient: *(?:rfc822|utf-8); *(\S+)/im.exec(group)?.[1] ?? []);
}
