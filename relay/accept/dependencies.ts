import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { ListenerConfig } from '../config.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { NewMessage, Spool } from '../queue/queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { RelayState } from '../state.ts';
import type { Authenticator } from './authenticator.ts';
import type { SessionMemory } from './session-memory.ts';
import type { Turns } from './turns.ts';

/** What the rest of the relay gives to this room. */
export interface AcceptDependencies {
  /** Read at each use: that is how a reload reaches sessions that are already open. */
  readonly state: () => RelayState;
  readonly openSpool: () => Spool;
  /** Resolves when the message is durable (G1). */
  readonly submit: (message: NewMessage) => Promise<void>;
  readonly signer: Signer;
  /** A queue id, or a session id. */
  readonly newId: () => string;
  /** For headers and recipients of all sessions together; left out: 64 MiB. */
  readonly memoryBytes?: number;
  /** How long the queue may take for a message, where the idle time is not longer; left out: 4 minutes. */
  readonly storeLimitMs?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** With what all listeners of one server share. */
export interface SessionDependencies extends AcceptDependencies {
  readonly authenticator: Authenticator;
  readonly memory: SessionMemory;
  readonly turns: Turns;
  readonly isDraining: () => boolean;
}

/** With what belongs to one connection. */
export interface ConnectionDependencies extends SessionDependencies {
  readonly listener: ListenerConfig;
  /** `storing`: its last message is still with the queue. */
  readonly onClosed: (storing: Promise<unknown> | undefined) => void;
}

/** Who is at the other end, as the PROXY header says where there is one. */
export interface Client {
  readonly id: string;
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
}
