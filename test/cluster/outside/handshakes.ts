/** A client that does nothing but open TLS connections one after the other, verifying whom it speaks to. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';

export interface Handshakes extends AsyncDisposable {
  readonly failures: readonly string[];
  /** How many, by the serial number of the certificate that was presented. */
  readonly byCertificate: ReadonlyMap<string, number>;
}

export interface TlsPeer {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  /** PEM. */
  readonly ca: string;
}

const everyMs = 50;
const limitMs = 15_000;

export function startHandshakes(peer: TlsPeer): Handshakes {
  const failures: string[] = [];
  const byCertificate = new Map<string, number>();
  const end = new AbortController();

  async function shakeOnce(): Promise<void> {
    const socket = connect(peer);
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(limitMs) });
      const { serialNumber } = socket.getPeerCertificate();
      byCertificate.set(serialNumber, (byCertificate.get(serialNumber) ?? 0) + 1);
    } catch (error) {
      failures.push(String(error));
    } finally {
      socket.destroy();
    }
  }

  async function shake(): Promise<void> {
    while (!end.signal.aborted) {
      await shakeOnce();
      await delay(everyMs);
    }
  }

  const shaking = shake();
  return {
    failures,
    byCertificate,
    async [Symbol.asyncDispose]() {
      end.abort();
      await shaking;
    },
  };
}
