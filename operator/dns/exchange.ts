/**
 * One question to one server, and what it says. node:dns hides whether an answer is authoritative, and takes a referral for "no such
 * record": both would make a lame server look like one that says that a record is gone.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  RECURSION_DESIRED,
  streamEncode,
} from 'dns-packet';
import { limitedSignal } from '../kube/deadline.ts';

export interface Server {
  readonly address: string;
  readonly port: number;
}

export type QuestionType = 'TXT' | 'SOA' | 'NS' | 'A' | 'AAAA';

export interface Question {
  readonly name: string;
  readonly type: QuestionType;
  /** Asked of a resolver, which is to ask others. */
  readonly recursive: boolean;
}

/** Names are in lower case without a final dot; a text is the strings of its record joined. */
export type DnsRecord =
  | { readonly type: 'TXT'; readonly name: string; readonly ttlSeconds: number; readonly text: string }
  | {
      readonly type: 'CNAME' | 'NS' | 'A' | 'AAAA';
      readonly name: string;
      readonly ttlSeconds: number;
      readonly value: string;
    }
  | { readonly type: 'SOA'; readonly name: string; readonly ttlSeconds: number };

export type Reply =
  | {
      readonly kind: 'Reply';
      /** NOERROR, NXDOMAIN, SERVFAIL, REFUSED and so on. */
      readonly code: string;
      readonly authoritative: boolean;
      readonly answers: readonly DnsRecord[];
      readonly authorities: readonly DnsRecord[];
    }
  | { readonly kind: 'Silent'; readonly why: string };

export interface ExchangeOptions {
  readonly timeoutMs?: number;
  readonly tries?: number;
  readonly signal: AbortSignal;
}

export type Exchange = (server: Server, question: Question, options: ExchangeOptions) => Promise<Reply>;

/** RFC 9715: what passes everywhere unfragmented. */
const udpPayloadSize = 1232;
const mostTcpBytes = 65_535 + 2;

/** UDP, then TCP where the answer does not fit. Never throws for what a server does or does not do. @throws the signal's reason */
export const exchange: Exchange = async (server, question, { timeoutMs = 2000, tries = 2, signal }) => {
  let why = 'no answer';
  for (let attempt = 0; attempt < tries; attempt++) {
    signal.throwIfAborted();
    const id = randomInt(65_536);
    using limited = limitedSignal(signal, timeoutMs);
    const { signal: attemptSignal } = limited;
    try {
      const packet = packetOf(question, id);
      let answer = await overUdp(server, packet, attemptSignal);
      if (answer.flag_tc) answer = await overTcp(server, packet, attemptSignal);
      return replyOf(answer);
    } catch (error) {
      signal.throwIfAborted();
      why = attemptSignal.aborted ? 'no answer in time' : reasonOf(error);
    }
  }
  return { kind: 'Silent', why };
};

function packetOf({ name, type, recursive }: Question, id: number): Packet {
  return {
    type: 'query',
    id,
    flags: recursive ? RECURSION_DESIRED : 0,
    questions: [{ type, name, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize,
        flags: 0,
        options: [],
        extendedRcode: 0,
        ednsVersion: 0,
        flag_do: false,
      },
    ],
  };
}

/** Anyone may send to an open port: only what comes from the server, with our number and our question, is an answer. */
async function overUdp({ address, port }: Server, packet: Packet, signal: AbortSignal): Promise<DecodedPacket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    return await new Promise<DecodedPacket>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.once('error', reject);
      socket.on('message', bytes => {
        const answer = decodeAnswer(bytes, packet);
        if (answer !== undefined) resolve(answer);
      });
      // Without a callback of its own, what goes wrong comes as an error.
      socket.once('connect', () => socket.send(encode(packet)));
      socket.connect(port, address);
    });
  } finally {
    socket.close();
  }
}

async function overTcp({ address, port }: Server, packet: Packet, signal: AbortSignal): Promise<DecodedPacket> {
  const socket = connect({ host: address, port });
  try {
    return await new Promise<DecodedPacket>((resolve, reject) => {
      let input = Buffer.alloc(0);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed before the answer')));
      socket.on('data', (bytes: Buffer) => {
        input = Buffer.concat([input, bytes]);
        if (input.length > mostTcpBytes) reject(new Error('too long an answer'));
        if (input.length < 2 || input.length < 2 + input.readUInt16BE(0)) return;
        const answer = decodeAnswer(input.subarray(2, 2 + input.readUInt16BE(0)), packet);
        if (answer === undefined) reject(new Error('an answer to something else'));
        else resolve(answer);
      });
      socket.write(streamEncode(packet));
    });
  } finally {
    socket.destroy();
  }
}

function decodeAnswer(bytes: Buffer, { id, questions = [] }: Packet): DecodedPacket | undefined {
  let answer: DecodedPacket;
  try {
    answer = decode(bytes);
  } catch (error) {
    // What cannot be read is no answer: the wait for one goes on.
    if (error instanceof Error) return undefined;
    throw error;
  }
  const [asked] = questions;
  const echoed = answer.questions?.[0];
  const isOurs = answer.type === 'response' && answer.id === id;
  return isOurs && lower(echoed?.name) === lower(asked?.name) && echoed?.type === asked?.type ? answer : undefined;
}

function replyOf(answer: DecodedPacket): Reply {
  return {
    kind: 'Reply',
    code: (answer as DecodedPacket & { readonly rcode: string }).rcode,
    authoritative: ((answer.flags ?? 0) & AUTHORITATIVE_ANSWER) !== 0,
    answers: (answer.answers ?? []).flatMap(recordOf),
    authorities: (answer.authorities ?? []).flatMap(recordOf),
  };
}

function recordOf(answer: Answer): DnsRecord[] {
  const name = lower(answer.name);
  const ttlSeconds = 'ttl' in answer ? (answer.ttl ?? 0) : 0;
  switch (answer.type) {
    case 'TXT':
      return [{ type: 'TXT', name, ttlSeconds, text: joined(answer.data) }];
    case 'CNAME':
    case 'NS':
      return [{ type: answer.type, name, ttlSeconds, value: lower(answer.data) }];
    case 'A':
    case 'AAAA':
      return [{ type: answer.type, name, ttlSeconds, value: answer.data }];
    case 'SOA':
      return [{ type: 'SOA', name, ttlSeconds }];
    default:
      return [];
  }
}

/** RFC 7208 s3.3, RFC 6376 s3.6.2.2: the strings of one record are joined without a space. */
function joined(data: string | Buffer | readonly (string | Buffer)[]): string {
  const parts = Array.isArray(data) ? (data as readonly (string | Buffer)[]) : [data as string | Buffer];
  return parts.map(part => part.toString('latin1' as BufferEncoding)).join('');
}

function lower(name: string | undefined): string {
  return (name ?? '').toLowerCase().replace(/\.$/, '');
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : 'no answer';
}
