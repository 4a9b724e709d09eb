/** One run of our own generator: a load as JSON in, its times as JSON out. One command at a time, as smtp-source does it. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { destinationName } from './destinations.ts';
import { type Load, reversePath } from './generator.ts';
import { monotonicMs } from './sink-ledger.ts';

const load = JSON.parse(process.argv[2] ?? '') as Load;
const content = makeContent(load.sizeBytes);
let next = 1;
let tlsSession: Buffer | undefined;

function makeContent(sizeBytes: number): Buffer {
  const header = `From: <${reversePath}>\r\nTo: <r${load.run}@example.net>\r\nSubject: load\r\n\r\n`;
  const line = `${'X'.repeat(78)}\r\n`;
  return Buffer.from(`${header}${line.repeat(Math.ceil(sizeBytes / line.length)).slice(0, sizeBytes - 2)}\r\n.\r\n`);
}

class Session {
  #socket: Socket;
  #text = '';
  #waiting: PromiseWithResolvers<string> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#attach(socket);
  }

  #attach(socket: Socket): void {
    socket.setNoDelay(true);
    socket.setEncoding('latin1').on('data', (text: string) => this.#receive(text));
    socket.on('error', error => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('closed instead of a reply')));
  }

  #receive(text: string): void {
    this.#text += text;
    if (!this.#text.endsWith('\r\n')) return;
    const begin = this.#text.lastIndexOf('\n', this.#text.length - 2) + 1;
    // `250-` goes on, `250 ` ends the reply (RFC 5321 s4.2.1).
    if (this.#text[begin + 3] === '-') return;
    const reply = this.#text;
    this.#text = '';
    this.#waiting?.resolve(reply);
  }

  async say(what: string | Buffer | undefined, code: string): Promise<void> {
    const waiting = Promise.withResolvers<string>();
    this.#waiting = waiting;
    if (what !== undefined) this.#socket.write(what);
    const reply = await waiting.promise;
    this.#waiting = undefined;
    if (!reply.startsWith(code)) throw new Error(`${String(what).slice(0, 80)} was answered ${reply}`);
  }

  async startTls(): Promise<void> {
    await this.say('STARTTLS\r\n', '220');
    this.#socket.removeAllListeners();
    const secured = connectTls({
      socket: this.#socket,
      rejectUnauthorized: false,
      ...(tlsSession === undefined ? {} : { session: tlsSession }),
    });
    secured.on('session', session => {
      tlsSession = session;
    });
    await once(secured, 'secureConnect');
    this.#socket = secured;
    this.#attach(secured);
  }

  end(): void {
    this.#socket.destroy();
  }
}

async function open(): Promise<Session> {
  const socket = connectTcp({ port: load.ports[0] ?? 0, host: '127.0.0.1' });
  const session = new Session(socket);
  await session.say(undefined, '220');
  await session.say('EHLO generator.test\r\n', '250');
  if (load.tls) {
    await session.startTls();
    await session.say('EHLO generator.test\r\n', '250');
  }
  return session;
}

async function client(): Promise<void> {
  let session: Session | undefined;
  for (let number = next++; number <= load.messages; number = next++) {
    session ??= await open();
    const domain = load.destinations > 1 ? destinationName(number % load.destinations) : 'example.net';
    await session.say(`MAIL FROM:<${reversePath}>\r\n`, '250');
    await session.say(`RCPT TO:<${number}r${load.run}@${domain}>\r\n`, '250');
    await session.say('DATA\r\n', '354');
    await session.say(content, '250');
    if (load.reuse) continue;
    await session.say('QUIT\r\n', '221');
    session.end();
    session = undefined;
  }
  session?.end();
}

const startMs = monotonicMs();
await Promise.all(Array.from({ length: load.sessions }, client));
process.stdout.write(`${JSON.stringify({ startMs, endMs: monotonicMs() })}\n`);
