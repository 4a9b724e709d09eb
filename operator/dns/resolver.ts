/** What a resolver says: the one given, or the system's. */
import { getServers } from 'node:dns';
import type { Exchange, Question, Reply, Server } from './exchange.ts';

export type Ask = (name: string, type: Question['type'], signal: AbortSignal) => Promise<Reply>;

/** One after the other, until one says something. `nameservers` are `host:port` or addresses; empty: the system's. */
export function createResolver(nameservers: readonly string[], exchange: Exchange): Ask {
  return async (name, type, signal) => {
    let last: Reply = { kind: 'Silent', why: 'there is no resolver' };
    for (const server of (nameservers.length > 0 ? nameservers : getServers()).map(serverOf)) {
      last = await exchange(server, { name, type, recursive: true }, { signal });
      if (last.kind === 'Reply' && (last.code === 'NOERROR' || last.code === 'NXDOMAIN')) return last;
    }
    return last;
  };
}

export function serverOf(text: string): Server {
  const [, bracketed, port] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? [];
  if (bracketed !== undefined) return { address: bracketed, port: Number(port ?? 53) };
  const [host = '', number, ...more] = text.split(':');
  return more.length > 0 || number === undefined
    ? { address: text, port: 53 }
    : { address: host, port: Number(number) };
}
