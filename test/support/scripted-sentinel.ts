/** A Sentinel that says what a test wants, when it wants it: only what a client asks of one (redis.io/docs/latest/develop/reference/sentinel-clients). */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface ScriptedSentinel extends AsyncDisposable {
  readonly port: number;
  /** How often it was asked for the master. */
  readonly asked: number;
  readonly subscribers: number;
  /** From now on who asks for the master waits for `release`. */
  hold(): void;
  release(): void;
  /** From now on it says that the master is there. */
  name(masterPort: number): void;
  /** Tells its subscribers that another server is the master. */
  tellSwitch(): void;
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const list = (...items: string[]): string => `*${items.length}\r\n${items.join('')}`;
const channel = '+switch-master';

/** @param masterPort where it says that the master is, on the loopback. */
export async function startScriptedSentinel(masterPort: number): Promise<ScriptedSentinel> {
  const sockets = new Set<Socket>();
  const subscribers = new Set<Socket>();
  let held: (() => void)[] | undefined;
  let asked = 0;
  let named = masterPort;

  function answer(socket: Socket, [name = '', what = '']: readonly string[]): void {
    const write = (reply: string): void => void socket.write(reply);
    if (name === 'SUBSCRIBE') {
      subscribers.add(socket);
      write(list(bulk('subscribe'), bulk(channel), ':1\r\n'));
    } else if (name === 'SENTINEL' && what === 'GET-MASTER-ADDR-BY-NAME') {
      asked++;
      const tell = (): void => write(list(bulk('127.0.0.1'), bulk(String(named))));
      if (held === undefined) tell();
      else held.push(tell);
    } else write(name === 'SENTINEL' ? list() : '+OK\r\n');
  }

  const server = createServer(socket => {
    sockets.add(socket);
    let input = '';
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      subscribers.delete(socket);
    });
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      input += chunk;
      for (let command = commandOf(input); command !== undefined; command = commandOf(input)) {
        input = input.slice(command.length);
        answer(socket, command.words);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get asked() {
      return asked;
    },
    get subscribers() {
      return subscribers.size;
    },
    name(port) {
      named = port;
    },
    hold() {
      held ??= [];
    },
    release() {
      for (const tell of held ?? []) tell();
      held = undefined;
    },
    tellSwitch() {
      const said = `queue 127.0.0.1 1 127.0.0.1 ${masterPort}`;
      for (const socket of subscribers) socket.write(list(bulk('message'), bulk(channel), bulk(said)));
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

/** The first whole command of an array of bulk strings, upper case, and its length. */
function commandOf(input: string): { readonly words: readonly string[]; readonly length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(input);
  if (head === null) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  for (let left = Number(head[1]); left > 0; left--) {
    const size = /^\$(\d+)\r\n/.exec(input.slice(at));
    if (size === null) return undefined;
    const from = at + size[0].length;
    at = from + Number(size[1]) + 2;
    if (input.length < at) return undefined;
    words.push(input.slice(from, at - 2).toUpperCase());
  }
  return { words, length: at };
}
