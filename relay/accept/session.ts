/** What the server knows of one session, apart from its socket. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ListenerConfig } from '../config.ts';
import type { RejectReason } from '../policy/decision.ts';
import { type Identity, identifyNetwork, identifyUser } from '../policy/identity.ts';
import type { EnvelopeRecipient } from '../smtp/envelope.ts';
import { formatReply } from '../smtp/reply.ts';
import type { SessionDependencies } from './dependencies.ts';
import type { Envelope, Incoming } from './incoming.ts';
import type { Origin, TlsInfo } from './origin.ts';
import type { Answer } from './replies.ts';

/** Undefined for a socket without TLS. */
export function tlsInfoOf(socket: Socket): TlsInfo | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return { version: socket.getProtocol() ?? 'unknown', cipher: socket.getCipher().standardName };
}

/** From MAIL to the reply to its data (RFC 5321 s3.3). */
export interface Transaction extends Envelope {
  readonly recipients: Map<string, EnvelopeRecipient>;
  /** Once DATA or the first BDAT was accepted. */
  incoming: Incoming | undefined;
  /** The first chunk of BDAT was refused with it. */
  chunkRefusal: Answer | undefined;
}

/** Temporary refusals do not end a session, so one client could fill the log's disk; beyond this they are only counted. */
const loggedRefusals = 100;

export class Session implements Origin {
  readonly id: string;
  readonly listener: ListenerConfig;
  readonly remoteAddress: string;
  readonly deps: SessionDependencies;
  tls: TlsInfo | undefined;
  /** What the client called itself; undefined before EHLO or HELO. */
  helo: string | undefined;
  /** It said EHLO, not HELO. */
  extended = false;
  /** Who logged in; undefined while nobody has. */
  user: string | undefined;
  failedLogins = 0;
  transaction: Transaction | undefined;
  #refusals = 0;

  constructor(
    deps: SessionDependencies,
    client: { readonly id: string; readonly listener: ListenerConfig; readonly remoteAddress: string },
  ) {
    this.deps = deps;
    this.id = client.id;
    this.listener = client.listener;
    this.remoteAddress = client.remoteAddress;
  }

  get authenticated(): boolean {
    return this.user !== undefined;
  }

  /**
   * By AUTH, else by a trusted network; as the configuration has it now, since a session may outlive the user or the network that
   * it began with. A changed password ends nothing.
   */
  get identity(): Identity | undefined {
    const { policies, secrets } = this.deps.state();
    if (this.user === undefined) return identifyNetwork(policies, this.remoteAddress);
    return secrets.users.has(this.user) ? identifyUser(policies, this.user) : undefined;
  }

  /** RSET, EHLO, a finished message (RFC 5321 s4.1.1.5): what was received of a message is given back. */
  endTransaction(): void {
    const { transaction } = this;
    this.transaction = undefined;
    if (transaction?.incoming === undefined) transaction?.memory.giveBack();
    else transaction.incoming.abandon();
  }

  /** RFC 3207 s4.2: nothing that was said before TLS counts after it. */
  forget(): void {
    this.endTransaction();
    this.helo = undefined;
    this.extended = false;
    this.user = undefined;
  }

  recordRefusal(answer: Answer, reason: RejectReason): void {
    const { log, metrics } = this.deps;
    metrics.postroad_accept_refusals_total.inc({ reason });
    if (++this.#refusals > loggedRefusals) return;
    log.info({ session: this.id, client: this.remoteAddress, reason, reply: formatReply(answer) }, 'refused');
  }
}
