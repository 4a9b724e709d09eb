/** A DNS server on loopback, UDP and TCP on the same port, that answers from a table. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Answer, decode, encode, type Packet, streamDecode, streamEncode, TRUNCATED_RESPONSE } from 'dns-packet';

export type ZoneEntry =
  | { readonly type: 'MX'; readonly data: { readonly preference: number; readonly exchange: string } }
  | { readonly type: 'A' | 'AAAA' | 'CNAME'; readonly data: string }
  /** The whole name behaves so, whatever is asked. */
  | { readonly type: 'SERVFAIL' | 'REFUSED' | 'SILENT' };

/** By name in lower case, no dot at the end. A name that is not there is NXDOMAIN. */
export type ZoneTable = Record<string, readonly ZoneEntry[]>;

export interface Zone extends AsyncDisposable {
  /** `host:port`, for `nameservers`. */
  readonly nameserver: string;
  /** May be changed at any time. */
  readonly table: ZoneTable;
  /** Every question, `TYPE name`, in order. */
  readonly questions: string[];
  /** UDP answers are cut, so that TCP must be used. */
  truncate: boolean;
  readonly tcpQuestions: string[];
}

const rcodes = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };

export async function startZone(table: ZoneTable): Promise<Zone> {
  const questions: string[] = [];
  const tcpQuestions: string[] = [];
  const udp = createSocket('udp4');
  const sockets = new Set<Socket>();
  const tcp = createServer(socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let input = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      input = Buffer.concat([input, bytes]);
      for (let size = sizeOf(input); size !== undefined; size = sizeOf(input)) {
        const answer = answerTo(streamDecode(input.subarray(0, size)), zone, tcpQuestions);
        input = input.subarray(size);
        if (answer !== undefined) socket.write(streamEncode(answer));
      }
    });
  });
  const port = await listenOnBoth(udp, tcp);
  udp.on('message', (bytes, from) => {
    const question = decode(bytes);
    const answer = answerTo(question, zone, questions);
    if (answer === undefined) return;
    const cut: Packet = { ...answer, answers: [], flags: (answer.flags ?? 0) | TRUNCATED_RESPONSE };
    udp.send(encode(zone.truncate ? cut : answer), from.port, from.address);
  });
  const zone: Zone = {
    nameserver: `127.0.0.1:${port}`,
    table,
    questions,
    tcpQuestions,
    truncate: false,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      udp.close();
      tcp.close();
      await Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    },
  };
  return zone;
}

/** A port free for TCP may be taken for UDP, and the other way round. */
async function listenOnBoth(udp: UdpSocket, tcp: Server): Promise<number> {
  for (let trial = 0; ; trial++) {
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const address = tcp.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    try {
      udp.bind(address.port, '127.0.0.1');
      await once(udp, 'listening');
      return address.port;
    } catch (cause) {
      tcp.close();
      await once(tcp, 'close');
      if (trial === 20) throw cause;
    }
  }
}

/** Of the first message with its length, when it is whole (RFC 1035 s4.2.2). */
function sizeOf(input: Buffer): number | undefined {
  const size = input.length < 2 ? Number.POSITIVE_INFINITY : 2 + input.readUInt16BE(0);
  return size <= input.length ? size : undefined;
}

function answerTo(question: Packet, { table }: Zone, log: string[]): Packet | undefined {
  const [asked] = question.questions ?? [];
  if (asked === undefined) return undefined;
  const name = asked.name.toLowerCase();
  log.push(`${asked.type} ${name}`);
  const entries = table[name] ?? [];
  if (entries.some(({ type }) => type === 'SILENT')) return undefined;
  const fault = entries.find(({ type }) => type === 'SERVFAIL' || type === 'REFUSED');
  const rcode =
    fault?.type === 'SERVFAIL' || fault?.type === 'REFUSED'
      ? rcodes[fault.type]
      : table[name] === undefined
        ? rcodes.NXDOMAIN
        : 0;
  return {
    type: 'response',
    id: question.id ?? 0,
    flags: 0x180 | rcode,
    questions: [asked],
    answers: rcode === 0 ? collect(table, name, asked.type) : [],
  };
}

/** A recursive server follows CNAMEs, and gives the chain. */
function collect(table: ZoneTable, name: string, type: string, depth = 0): Answer[] {
  const answers: Answer[] = [];
  for (const entry of table[name] ?? []) {
    if (entry.type === 'CNAME' && depth < 8) {
      answers.push({ type: 'CNAME', name, ttl: 60, data: entry.data });
      answers.push(...collect(table, entry.data.toLowerCase(), type, depth + 1));
    } else if (entry.type === type && entry.type === 'MX') {
      answers.push({ type: 'MX', name, ttl: 60, data: entry.data });
    } else if (entry.type === type && (entry.type === 'A' || entry.type === 'AAAA')) {
      answers.push({ type: entry.type, name, ttl: 60, data: entry.data });
    }
  }
  return answers;
}
