/**
 * Outbound TLS. Never an excuse to lose mail: without what the policy wants, the attempt is deferred.
 *
 *   Disabled        no STARTTLS
 *   Opportunistic   STARTTLS if offered, any certificate; without TLS when the handshake fails (RFC 7435)
 *   Required        any certificate
 *   Verified        chain and name
 */
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { SmartHostConfig } from '../config.ts';
import { TtlCache } from './ttl-cache.ts';

export type TlsMode = SmartHostConfig['tls'];

export interface TlsPlan {
  readonly mode: TlsMode;
  /** TLS from the first byte. */
  readonly implicit: boolean;
  /** PEM that replaces the system's roots. */
  readonly trustAnchors?: string;
}

export function tlsOptions(plan: TlsPlan, host: string, session: Buffer | undefined): ConnectionOptions {
  return {
    host,
    // SNI takes names only (RFC 6066 s3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: plan.mode === 'Verified',
    ...(plan.trustAnchors === undefined ? {} : { ca: plan.trustAnchors }),
    ...(session === undefined ? {} : { session }),
  };
}

const maxSessions = 5000;
const sessionTtlMs = 3_600_000;

/** TLS sessions to resume, by what they were verified against: a session made unverified must not stand in for a verified one. */
export class TlsSessions {
  readonly #sessions: TtlCache<Buffer>;

  constructor(now: () => number) {
    this.#sessions = new TtlCache(maxSessions, now);
  }

  get(key: string): Buffer | undefined {
    return this.#sessions.get(key);
  }

  set(key: string, session: Buffer): void {
    this.#sessions.set(key, session, sessionTtlMs);
  }
}

export function sessionKey(plan: TlsPlan, host: string, port: number): string {
  return `${plan.mode}|${plan.trustAnchors === undefined ? '' : 'own'}|${host}|${port}`;
}
