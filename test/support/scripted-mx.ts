/**
 * A raw SMTP peer that does what a script says at each command, and keeps what it was sent, byte for byte.
 * In one file, since a peer is one conversation, and its script the words in it.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';

export type MxEvent =
  | 'GREETING'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'MESSAGE'
  | 'BDAT'
  | 'RSET'
  | 'QUIT';

/** A reply; with `close` the connection ends after it, or without any. `hang` never answers. */
export type MxAction = string | { readonly reply?: string; readonly close: 'end' | 'reset' } | 'hang';

export interface MxTurn {
  readonly event: MxEvent;
  /** The command line; for MESSAGE and BDAT the number of the message on this connection, from 1. */
  readonly line: string;
  /** Number of this connection, from 1. */
  readonly connection: number;
  /** How often this event was seen on this server, this time included. */
  readonly count: number;
}

/** undefined: as a well-behaved server would. */
export type MxScript = (turn: MxTurn) => MxAction | undefined | Promise<MxAction | undefined>;

export interface MxOptions {
  readonly script?: MxScript;
  /** Said to EHLO, but for STARTTLS, which is said when there is a certificate. */
  readonly extensions?: readonly string[];
  readonly address?: string;
  readonly port?: number;
  readonly tls?: { readonly key: string; readonly cert: string; readonly implicit?: boolean };
}

export interface MxMessage {
  readonly mail: string;
  readonly rcpts: readonly string[];
  /** Dots taken out again. */
  readonly content: Buffer;
  readonly tls: boolean;
  readonly connection: number;
  /** Whether it was answered with 250. */
  readonly accepted: boolean;
}

export interface ScriptedMx extends AsyncDisposable {
  readonly port: number;
  readonly messages: readonly MxMessage[];
  /** Command lines of all connections, `<connection> <line>`. */
  readonly commands: readonly string[];
  readonly connections: number;
  readonly open: number;
  /** Every byte received, by connection (after TLS: the clear text). */
  readonly received: readonly Buffer[];
  readonly resumed: readonly boolean[];
}

const defaults: Record<MxEvent, string> = {
  GREETING: '220 mx.test ESMTP',
  EHLO: '',
  HELO: '250 mx.test',
  STARTTLS: '220 go on',
  AUTH: '235 2.7.0 welcome',
  MAIL: '250 2.1.0 ok',
  RCPT: '250 2.1.5 ok',
  DATA: '354 go on',
  MESSAGE: '250 2.0.0 taken',
  BDAT: '250 2.0.0 taken',
  RSET: '250 2.0.0 ok',
  QUIT: '221 2.0.0 bye',
};

export const allExtensions = [
  'PIPELINING',
  'SIZE 50000000',
  '8BITMIME',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
];

interface State {
  readonly messages: MxMessage[];
  readonly commands: string[];
  readonly received: Buffer[];
  readonly resumed: boolean[];
  readonly counts: Map<MxEvent, number>;
  readonly sockets: Set<Socket>;
  readonly options: MxOptions;
  /** One for all connections, so that sessions can be resumed. */
  readonly secureContext: SecureContext | undefined;
  connections: number;
}

export async function startScriptedMx(options: MxOptions = {}): Promise<ScriptedMx> {
  const state: State = {
    messages: [],
    commands: [],
    received: [],
    resumed: [],
    counts: new Map(),
    sockets: new Set(),
    options,
    secureContext:
      options.tls === undefined ? undefined : createSecureContext({ key: options.tls.key, cert: options.tls.cert }),
    connections: 0,
  };
  // Its replies to what was pipelined are writes of their own: each would wait for the last one to be acknowledged.
  const server: Server = createServer({ noDelay: true }, socket => {
    state.connections += 1;
    state.sockets.add(socket);
    socket.on('close', () => state.sockets.delete(socket));
    new Peer(state, socket, state.connections).start();
  });
  server.listen(options.port ?? 0, options.address ?? '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    messages: state.messages,
    commands: state.commands,
    received: state.received,
    resumed: state.resumed,
    get connections() {
      return state.connections;
    },
    get open() {
      return state.sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of state.sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

class Peer {
  readonly #state: State;
  readonly #connection: number;
  #socket: Socket;
  #input = Buffer.alloc(0);
  #mode: 'Command' | 'Message' | { readonly bdat: number; readonly last: boolean } = 'Command';
  #mail = '';
  #rcpts: string[] = [];
  #accepted = 0;
  #chunks: Buffer[] = [];
  #messages = 0;
  #busy = false;
  #gone = false;

  constructor(state: State, socket: Socket, connection: number) {
    this.#state = state;
    this.#socket = socket;
    this.#connection = connection;
    state.received[connection - 1] = Buffer.alloc(0);
  }

  start(): void {
    if (this.#state.options.tls?.implicit === true) this.#secure();
    else this.#listen(this.#socket);
    void this.#answer('GREETING', '');
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      const seen = this.#state.received[this.#connection - 1] ?? Buffer.alloc(0);
      this.#state.received[this.#connection - 1] = Buffer.concat([seen, chunk]);
      this.#input = Buffer.concat([this.#input, chunk]);
      void this.#consume();
    });
  }

  #secure(): void {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    const { secureContext } = this.#state;
    const secured = new TLSSocket(plain, { isServer: true, ...(secureContext === undefined ? {} : { secureContext }) });
    secured.on('secure', () => this.#state.resumed.push(secured.isSessionReused()));
    this.#input = Buffer.alloc(0);
    this.#listen(secured);
  }

  /** One command or message at a time, in order. */
  async #consume(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (!this.#socket.destroyed && (await this.#next()));
    } finally {
      this.#busy = false;
    }
  }

  async #next(): Promise<boolean> {
    if (this.#mode === 'Message') return await this.#takeMessage();
    if (this.#mode !== 'Command') return await this.#takeChunk(this.#mode);
    const end = this.#input.indexOf('\r\n');
    if (end < 0) return false;
    const line = this.#input.subarray(0, end).toString('utf8');
    this.#input = this.#input.subarray(end + 2);
    this.#state.commands.push(`${this.#connection} ${line}`);
    return await this.#command(line);
  }

  async #command(line: string): Promise<boolean> {
    const verb = line.split(/[ :]/, 1)[0]?.toUpperCase() ?? '';
    if (!(verb in defaults) || verb === 'GREETING' || verb === 'MESSAGE') {
      this.#socket.write('500 5.5.1 what?\r\n');
      return true;
    }
    const event = verb as MxEvent;
    if (event === 'BDAT') {
      const [, size = '0', last] = line.split(' ');
      this.#mode = { bdat: Number(size), last: last !== undefined };
      return true;
    }
    if ((event === 'DATA' && this.#accepted === 0) || (event === 'RCPT' && this.#mail === '')) {
      this.#socket.write('503 5.5.1 bad sequence\r\n');
      return true;
    }
    this.#follow(event, line, await this.#answer(event, line));
    return !this.#gone;
  }

  #follow(event: MxEvent, line: string, code: number): void {
    this.#gone = code === 0;
    if (event === 'MAIL') this.#begin(code < 300 ? line : '');
    else if (event === 'RSET') this.#begin('');
    else if (event === 'RCPT' && code < 300) {
      this.#rcpts.push(line);
      this.#accepted += 1;
    } else if (event === 'DATA' && code === 354) this.#mode = 'Message';
    else if (event === 'STARTTLS' && code === 220) this.#secure();
    else if (event === 'QUIT') this.#socket.end();
  }

  #begin(mail: string): void {
    this.#mail = mail;
    this.#rcpts = [];
    this.#accepted = 0;
    this.#chunks = [];
  }

  async #takeMessage(): Promise<boolean> {
    const start = this.#input.subarray(0, 3).toString('latin1') === '.\r\n' ? 0 : this.#input.indexOf('\r\n.\r\n');
    if (start < 0) return false;
    const skip = start === 0 && this.#input[0] === 0x2e ? 0 : 2;
    const stuffed = this.#input.subarray(0, start + skip);
    this.#input = this.#input.subarray(start + skip + 3);
    this.#mode = 'Command';
    return await this.#finish('MESSAGE', unstuff(stuffed));
  }

  async #takeChunk({ bdat, last }: { readonly bdat: number; readonly last: boolean }): Promise<boolean> {
    if (this.#input.length < bdat) return false;
    this.#chunks.push(this.#input.subarray(0, bdat));
    this.#input = this.#input.subarray(bdat);
    this.#mode = 'Command';
    if (this.#accepted === 0) {
      this.#socket.write('503 5.5.1 no recipients\r\n');
      return true;
    }
    if (last) return await this.#finish('BDAT', Buffer.concat(this.#chunks));
    this.#socket.write('250 2.0.0 go on\r\n');
    return true;
  }

  async #finish(event: 'MESSAGE' | 'BDAT', content: Buffer): Promise<boolean> {
    this.#messages += 1;
    const { mail, rcpts } = { mail: this.#mail, rcpts: this.#rcpts };
    const code = await this.#answer(event, String(this.#messages));
    const tls = this.#socket instanceof TLSSocket;
    const accepted = code >= 200 && code < 300;
    this.#state.messages.push({ mail, rcpts, content, tls, connection: this.#connection, accepted });
    this.#begin('');
    return code > 0;
  }

  /** The code that was said; 0 when nothing more is to be expected of this connection. */
  async #answer(event: MxEvent, line: string): Promise<number> {
    const count = (this.#state.counts.get(event) ?? 0) + 1;
    this.#state.counts.set(event, count);
    const action = await this.#state.options.script?.({ event, line, connection: this.#connection, count });
    if (action === 'hang') return 0;
    if (typeof action === 'object') {
      if (action.reply !== undefined) this.#socket.write(`${action.reply}\r\n`);
      if (action.close === 'end') this.#socket.end();
      else this.#socket.destroy();
      return 0;
    }
    const said = action ?? (event === 'EHLO' ? this.#hello() : defaults[event]);
    this.#socket.write(`${said}\r\n`);
    return Number(said.slice(0, 3));
  }

  #hello(): string {
    const { extensions = allExtensions, tls } = this.#state.options;
    const offersTls = tls !== undefined && !(this.#socket instanceof TLSSocket);
    const lines = ['mx.test', ...extensions, ...(offersTls ? ['STARTTLS'] : [])];
    return lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  }
}

function unstuff(stuffed: Buffer): Buffer {
  const text = stuffed.toString('latin1');
  return Buffer.from(text.replaceAll(/(^|\r\n)\./g, '$1'), 'latin1');
}
