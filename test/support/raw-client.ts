/** An SMTP client for tests that knows exactly what it may conclude: accepted, refused, or not known. Shares no code with the relay. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Submission {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** With CRLF line ends, ended by one, dots already doubled. */
  readonly content: Buffer;
  /** After the path of MAIL, such as `RET=HDRS`. */
  readonly mailParameters?: string;
}

export type SendResult =
  /** 250 after the final dot. `refused` are the recipients that RCPT turned down. */
  | { readonly outcome: 'accepted'; readonly refused: readonly string[] }
  | { readonly outcome: 'refused'; readonly reply: string }
  /** The connection ended after the final dot was handed to the system and before its reply: the message may be anywhere. */
  | { readonly outcome: 'unknown' }
  /** The connection ended before the final dot was sent: nobody can have accepted it. */
  | { readonly outcome: 'unsent' };

/** A session over TLS, of a user. */
export interface Secured {
  /** PEM: whose certificates are believed. */
  readonly ca: string;
  readonly servername: string;
  /** From the first byte on, or after STARTTLS. */
  readonly begins: 'AtOnce' | 'ByCommand';
  readonly user: { readonly name: string; readonly password: string };
}

class ConnectionEnded extends Error {
  override name = 'ConnectionEnded';
}

export class RawClient {
  #socket: Socket;
  readonly #silenceMs: number;
  readonly #replies: string[] = [];
  #partial = '';
  #lines = '';
  #waiting: { resolve(reply: string): void; reject(error: Error): void } | undefined;
  #ended: Error | undefined;

  private constructor(socket: Socket, silenceMs: number) {
    this.#silenceMs = silenceMs;
    this.#socket = this.#attached(socket);
  }

  /**
   * Rejects when nobody listens, the greeting is not 220, or TLS and login do not succeed. A connection that is silent for `silenceMs`, its
   * idle time included, is given up.
   */
  static async open(port: number, host = '127.0.0.1', silenceMs = 60_000, secured?: Secured): Promise<RawClient> {
    const socket = secured?.begins === 'AtOnce' ? connectTls({ port, host, ...secured }) : connect({ port, host });
    const client = new RawClient(socket, silenceMs);
    try {
      await client.#expect('220', client.reply());
      await client.command('EHLO client.test');
      if (secured !== undefined) await client.#secure(secured);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  async send({ reversePath, recipients, content, mailParameters = '' }: Submission): Promise<SendResult> {
    let dotSent = false;
    try {
      const commands = [
        `MAIL FROM:<${reversePath}> ${mailParameters}`.trimEnd(),
        ...recipients.map(to => `RCPT TO:<${to}>`),
      ];
      this.#socket.write(`${[...commands, 'DATA'].join('\r\n')}\r\n`);
      const answers: string[] = [];
      for (const _ of commands) answers.push(await this.reply());
      const go = await this.reply();
      if (!go.startsWith('354')) {
        if (answers[0]?.startsWith('250')) await this.command('RSET');
        return { outcome: 'refused', reply: answers.find(answer => !answer.startsWith('250')) ?? go };
      }
      dotSent = true;
      this.#socket.write(Buffer.concat([content, Buffer.from('.\r\n')]));
      const reply = await this.reply();
      if (!reply.startsWith('250')) return { outcome: 'refused', reply };
      return { outcome: 'accepted', refused: recipients.filter((_, at) => !answers[at + 1]?.startsWith('250')) };
    } catch (error) {
      if (error instanceof ConnectionEnded) return { outcome: dotSent ? 'unknown' : 'unsent' };
      throw error;
    }
  }

  async command(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return await this.reply();
  }

  /** The next reply, lines joined by a line feed. */
  reply(): Promise<string> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#ended !== undefined) return Promise.reject(new ConnectionEnded(this.#ended.message));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  async #secure({ begins, ca, servername, user }: Secured): Promise<void> {
    if (begins === 'ByCommand') {
      await this.#expect('220', this.command('STARTTLS'));
      for (const event of ['data', 'error', 'close', 'timeout']) this.#socket.removeAllListeners(event);
      this.#socket = this.#attached(connectTls({ socket: this.#socket, ca, servername }));
      await this.command('EHLO client.test');
    }
    const credentials = Buffer.from(`\0${user.name}\0${user.password}`).toString('base64');
    await this.#expect('235', this.command(`AUTH PLAIN ${credentials}`));
  }

  async #expect(code: string, replied: Promise<string>): Promise<void> {
    const reply = await replied;
    if (!reply.startsWith(code)) throw new ConnectionEnded(reply);
  }

  #attached(socket: Socket): Socket {
    socket.setNoDelay(true);
    socket.setTimeout(this.#silenceMs, () => socket.destroy(new Error(`nothing heard for ${this.#silenceMs} ms`)));
    socket.on('data', chunk => this.#receive(chunk.toString('latin1')));
    socket.on('error', error => this.#end(error));
    socket.on('close', () => this.#end(new Error('closed')));
    return socket;
  }

  async quit(): Promise<void> {
    if (this.isOpen) await this.command('QUIT').catch(() => undefined);
    this.close();
  }

  #receive(chunk: string): void {
    const lines = (this.#partial + chunk).split('\r\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) {
      this.#lines += this.#lines === '' ? line : `\n${line}`;
      if (line[3] === '-') continue;
      const reply = this.#lines;
      this.#lines = '';
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#replies.push(reply);
      else waiting.resolve(reply);
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(new ConnectionEnded(error.message));
  }
}
