import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { NewMessage, Spool } from '../queue/queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { RelayState } from '../state.ts';
import type { Authenticator } from './authenticator.ts';

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
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** With what all listeners of one server share. */
export interface SessionDependencies extends AcceptDependencies {
  readonly authenticator: Authenticator;
  readonly isDraining: () => boolean;
}
