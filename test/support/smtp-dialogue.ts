/** The client side of an SMTP dialogue as raw bytes: sends what it is told, however wrong, and tells what came back. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

const limitMs = 15_000;

export class Dialogue {
  #socket: Socket;
  #buffered = '';
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#attach(socket);
  }

  /** Connected, nothing read: the greeting is the first reply. */
  static async connect(port: number, host = '127.0.0.1'): Promise<Dialogue> {
    const socket = connectTcp({ port, host, noDelay: true });
    await once(socket, 'connect');
    return new Dialogue(socket);
  }

  static async connectTls(port: number, host = '127.0.0.1'): Promise<Dialogue> {
    const socket = connectTls({ port, host, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new Dialogue(socket);
  }

  /** Greeted and introduced; throws what it was turned away with. */
  static async open(port: number, host?: string): Promise<Dialogue> {
    const dialogue = await Dialogue.connect(port, host);
    const greeting = await dialogue.reply();
    if (!greeting.startsWith('220')) {
      dialogue.close();
      throw new Error(`turned away: ${greeting}`);
    }
    await dialogue.say('EHLO client.test');
    return dialogue;
  }

  get socket(): Socket {
    return this.#socket;
  }

  send(bytes: string | Buffer): void {
    this.#socket.write(bytes);
  }

  /** One command, its reply with lines joined by a line feed. */
  async say(command: string): Promise<string> {
    this.send(`${command}\r\n`);
    return await this.reply();
  }

  async reply(): Promise<string> {
    const pattern = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/;
    let match = pattern.exec(this.#buffered);
    while (match === null) {
      if (this.#ended)
        throw new Error(`connection ended instead of a reply; unread: ${JSON.stringify(this.#buffered)}`);
      await this.#more('a reply');
      match = pattern.exec(this.#buffered);
    }
    this.#buffered = this.#buffered.slice(match[0].length);
    return match[0].slice(0, -2).replaceAll('\r\n', '\n');
  }

  /** Everything up to the end of the connection. */
  async untilClosed(): Promise<string> {
    while (!this.#ended) await this.#more('the end of the connection');
    const rest = this.#buffered;
    this.#buffered = '';
    return rest;
  }

  /** After the reply to STARTTLS. */
  async beginTls(): Promise<TLSSocket> {
    this.#socket.removeAllListeners('data');
    this.#socket.removeAllListeners('end');
    this.#socket.removeAllListeners('close');
    const secured = connectTls({ socket: this.#socket, rejectUnauthorized: false });
    await once(secured, 'secureConnect');
    this.#socket = secured;
    this.#attach(secured);
    return secured;
  }

  /** From MAIL to 354. */
  async begin({
    from = 'a@example.com',
    to = ['b@example.net'],
  }: {
    from?: string;
    to?: string[];
  } = {}): Promise<void> {
    for (const line of [`MAIL FROM:<${from}>`, ...to.map(path => `RCPT TO:<${path}>`), 'DATA']) {
      const reply = await this.say(line);
      if (!/^[23]/.test(reply)) throw new Error(`${line} was answered ${reply}`);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #attach(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#buffered += chunk.toString('latin1');
      this.#wake?.();
    });
    // A reset is how some of these dialogues are meant to end.
    for (const event of ['error', 'end', 'close']) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake?.();
      });
    }
  }

  #more(what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Error(`no ${what} within ${limitMs} ms; unread: ${JSON.stringify(this.#buffered.slice(0, 500))}`)),
        limitMs,
      );
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
