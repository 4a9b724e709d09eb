/**
 * One listening port: PROXY header, implicit TLS, admission, sessions. Extends the package's server, whose own PROXY parser, greeting
 * delay and connection are replaced.
 */
import type { AddressInfo, Socket } from 'node:net';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import { SMTPServer } from 'smtp-server/lib/smtp-server.js';
import type { LimitsConfig, ListenerConfig } from '../config.ts';
import { type Network, parseNetwork, plainAddress } from '../policy/network.ts';
import type { Secrets } from '../secrets.ts';
import type { Admission, Place } from './admission.ts';
import { Connection } from './connection.ts';
import type { SessionDependencies } from './dependencies.ts';
import { readProxyHeader } from './proxy-reader.ts';
import { type Answer, replies } from './replies.ts';

/** A TLS handshake or a PROXY header that takes longer is not coming. */
const openingMs = 30_000;
/** Connections that wait to be accepted; the system may allow fewer. A thousand clients that start at once are not unusual. */
const backlog = 4096;
/** How long a client that is turned away may take to read why. */
const turnAwayMs = 1000;
/** Sockets that are accepted only to say 421; beyond them the kernel's refusal must do. */
const turnAwaySockets = 500;

export interface ListenerDependencies extends SessionDependencies {
  readonly admission: Admission;
  /** A session ended. */
  readonly onSessionClosed: () => void;
}

/** A connection from its first bytes to its session. */
interface Opening extends SMTPConnectionOptions {
  readonly id: string;
  /** The client's, as the PROXY header says where there is one. */
  readonly address: string;
  readonly admitted: Place | Answer;
  isConnected: boolean;
}

type Opened = (error: Error | null, opening?: Opening) => void;

function isPlace(admitted: Place | Answer): admitted is Place {
  return 'release' in admitted;
}

export class Listener extends SMTPServer {
  config: ListenerConfig;
  readonly sessions = new Set<Connection>();
  readonly #deps: ListenerDependencies;
  #proxies: readonly Network[];
  #tls: Secrets['tls'];
  #isClosed = false;

  constructor(config: ListenerConfig, deps: ListenerDependencies) {
    const { limits } = deps.state().config;
    const { tls } = deps.state().secrets;
    super({
      secure: config.protocol === 'SMTPS',
      logger: false,
      // A client that has said all it wants to say still gets its replies.
      allowHalfOpen: true,
      disableReverseLookup: true,
      useProxy: false,
      useXClient: false,
      useXForward: false,
      ...limitOptions(limits),
      // RFC 8996: TLS 1.0 and 1.1 are gone.
      minVersion: 'TLSv1.2',
      ...(tls === undefined ? {} : { cert: tls.certificate, key: tls.privateKey }),
    });
    this.config = config;
    this.#deps = deps;
    this.#tls = tls;
    this.#proxies = parseNetworks(config);
    this.#applyLimits(limits);
    this.server.on('drop', () => deps.metrics.postroad_accept_refusals_total.inc({ reason: 'TooManySessions' }));
    deps.metrics.postroad_accept_sessions_open.inc({ listener: config.name }, 0);
    deps.metrics.postroad_accept_messages_total.inc({ listener: config.name }, 0);
  }

  /** @throws Error when the port cannot be had. */
  open(): Promise<AddressInfo> {
    const { bindAddress, bindPort } = this.config;
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.listen({ host: bindAddress, port: bindPort, backlog }, () => {
        this.server.off('error', reject);
        const address = this.server.address();
        if (address === null || typeof address === 'string')
          reject(new Error(`${this.config.name} listens on no port`));
        else resolve(address);
      });
    });
  }

  /** For new sessions; those that are open keep what they began with. */
  reload(config: ListenerConfig): void {
    const { config: relay, secrets } = this.#deps.state();
    this.config = config;
    this.#proxies = parseNetworks(config);
    this.#applyLimits(relay.limits);
    const { tls } = secrets;
    if (
      tls === undefined ||
      (this.#tls?.certificate.equals(tls.certificate) && this.#tls.privateKey.equals(tls.privateKey))
    )
      return;
    this.#tls = tls;
    this.updateSecureContext({ cert: tls.certificate, key: tls.privateKey });
  }

  /** Accepts no more, and asks sessions to leave when they are idle. */
  drain(): void {
    if (!this.#isClosed) this.server.close();
    this.#isClosed = true;
    for (const socket of this._pendingSockets.values()) socket.destroy();
    for (const session of this.sessions) session.drain();
  }

  terminate(): void {
    for (const session of this.sessions) session.terminate();
  }

  // What the package calls

  override _expectsProxyHeader(socket: Socket): boolean {
    const address = socket.remoteAddress;
    return address !== undefined && this.#proxies.some(network => network.contains(address));
  }

  /** The package bounds only the silence before the handshake is done; this bounds its whole time. */
  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    const release = super._acceptSocket(socket, handshake);
    if (release === false || !this._pendingSockets.has(socket)) return release;
    const timer = setTimeout(() => this._pendingSockets.get(socket)?.destroy(), openingMs).unref();
    socket.once('close', () => clearTimeout(timer));
    return () => {
      clearTimeout(timer);
      release();
    };
  }

  override _handleProxy(socket: Socket, callback: Opened): void {
    const id = this.#deps.newId();
    if (!this._expectsProxyHeader(socket)) {
      this.#admit(socket, { id }, callback);
      return;
    }
    readProxyHeader(socket, (error, header) => {
      if (error === null) {
        const source = header?.source;
        this.#admit(
          socket,
          { id, ...(source && { remoteAddress: source.address, remotePort: source.port }) },
          callback,
        );
        return;
      }
      this.#deps.log.info({ proxy: socket.remoteAddress ?? '', err: error }, 'connection dropped');
      callback(error);
    });
  }

  /** `socket` is the one of `_handleProxy`, or TLS over it; the package hands over what that called back with. */
  override connect(socket: Socket, options?: SMTPConnectionOptions | null): void {
    const opening = options as Opening;
    const { address, admitted } = opening;
    opening.isConnected = true;
    if (!isPlace(admitted)) {
      this.#turnAway(socket, admitted);
      return;
    }
    if (socket.destroyed || this.#isDraining()) {
      admitted.release();
      this.#turnAway(socket, replies.draining);
      return;
    }
    const client = { id: opening.id, socket, address, port: opening.remotePort ?? socket.remotePort ?? 0 };
    const connection = new Connection(this, client, {
      ...this.#deps,
      listener: this.config,
      isDraining: () => this.#isDraining(),
      onClosed: storing => {
        this.sessions.delete(connection);
        // What waits for a store that is stuck is bounded as sessions are, also when their clients are gone.
        if (storing === undefined) admitted.release();
        else void storing.then(admitted.release, admitted.release);
        this.#deps.onSessionClosed();
      },
    });
    this.connections.add(connection);
    this.sessions.add(connection);
    this.#deps.metrics.postroad_accept_sessions_open.inc({ listener: this.config.name });
    connection.init();
  }

  /** Before the TLS handshake, which would else be a way around the limits; nothing can be said there to whom they turn away. */
  #admit(socket: Socket, options: Pick<Opening, 'id' | 'remoteAddress' | 'remotePort'>, callback: Opened): void {
    const { remoteAddress } = socket;
    if (socket.destroyed || remoteAddress === undefined) {
      socket.destroy();
      callback(new Error('the client was gone at once'));
      return;
    }
    const address = plainAddress(options.remoteAddress ?? remoteAddress);
    const admitted = this.#deps.admission.admit(address, this.#deps.state().config.limits);
    const opening: Opening = { ...options, address, admitted, isConnected: false };
    if (isPlace(admitted)) {
      socket.once('close', () => {
        if (!opening.isConnected) admitted.release();
      });
    } else if (this.config.protocol === 'SMTPS') {
      this.#countRefusal(admitted);
      socket.destroy();
      callback(new Error(admitted.text));
      return;
    }
    callback(null, opening);
  }

  /** Failed handshakes, and what the kernel says of the listening socket. */
  override _onError(error: NodeJS.ErrnoException): void {
    const fields = { listener: this.config.name, err: error };
    if (error.syscall === 'accept') this.#deps.log.warn(fields, 'connection could not be accepted');
    else this.#deps.log.debug(fields, 'connection failed before its session');
  }

  #isDraining(): boolean {
    return this.#isClosed || this.#deps.isDraining();
  }

  #countRefusal({ reason }: Answer): void {
    if (reason !== undefined) this.#deps.metrics.postroad_accept_refusals_total.inc({ reason });
  }

  #turnAway(socket: Socket, refusal: Answer): void {
    this.#countRefusal(refusal);
    socket.on('error', error => this.#deps.log.debug({ err: error }, 'connection lost while it was turned away'));
    socket.end(refusal.wire, 'latin1');
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), turnAwayMs).unref();
    socket.once('close', () => clearTimeout(timer));
  }

  #applyLimits(limits: LimitsConfig): void {
    Object.assign(this.options, limitOptions(limits));
    this.server.maxConnections = limits.maxSessions + turnAwaySockets;
  }
}

/** `maxClients` bounds the sockets that are still in their handshake. */
function limitOptions(limits: LimitsConfig): { maxClients: number; socketTimeout: number } {
  const longestTimerMs = 2 ** 31 - 1;
  return { maxClients: limits.maxSessions, socketTimeout: Math.min(limits.idleTimeoutSeconds * 1000, longestTimerMs) };
}

/** The policy chain has checked the syntax of the configuration's networks; one that is none trusts nobody. */
function parseNetworks({ proxyProtocolFrom }: ListenerConfig): readonly Network[] {
  return proxyProtocolFrom.flatMap(text => parseNetwork(text) ?? []);
}
