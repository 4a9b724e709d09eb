import type { ListenerConfig } from '../config.ts';
import type { SessionDependencies } from './dependencies.ts';

export interface TlsInfo {
  /** `TLSv1.3` */
  readonly version: string;
  /** As IANA names it. */
  readonly cipher: string;
}

/** Where a message comes from: what of the session its way in has to know. */
export interface Origin {
  readonly id: string;
  readonly listener: ListenerConfig;
  readonly remoteAddress: string;
  readonly deps: SessionDependencies;
  readonly tls: TlsInfo | undefined;
  readonly helo: string | undefined;
  readonly extended: boolean;
  readonly authenticated: boolean;
}
