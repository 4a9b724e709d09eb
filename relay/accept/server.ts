/**
 * Accept: the SMTP server, the first room of the mail path.
 *
 *   socket ─► [PROXY] ─► admission ─► [TLS] ─► greeting ─► EHLO … MAIL ─► RCPT ─► DATA | BDAT ─► checks ─► sign ─► submit ─► 250
 *
 * It owns sockets, sessions and the bytes of messages that are not yet submitted, and bounds each of them. A crash before `submit`
 * resolves loses what was never acknowledged, so the client has it still; after, the queue has it (G1). Whatever goes wrong in
 * here is told 4yz (G4).
 */
import type { ListenerConfig } from '../config.ts';
import { Admission } from './admission.ts';
import { createAuthenticator } from './authenticator.ts';
import type { AcceptDependencies } from './dependencies.ts';
import { Listener } from './listener.ts';
import { SessionMemory } from './session-memory.ts';
import { Turns } from './turns.ts';

export interface ListenerAddress {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

export interface AcceptServer {
  /** @throws Error when a port cannot be had; then none is. */
  listen(): Promise<readonly ListenerAddress[]>;
  /** Certificate, limits and listeners of `state()`; open sessions go on. A listener that cannot be opened is logged and tried at the next reload. */
  reload(): void;
  /** No new sessions; idle ones are told to go, others may finish their transaction within `graceMs`. Resolves soon after that at the latest. */
  stop(graceMs: number): Promise<void>;
}

/** For sockets that are destroyed to report so. */
const closingMs = 500;

export function createAcceptServer(deps: AcceptDependencies): AcceptServer {
  const listeners = new Map<string, Listener>();
  /** Removed by a reload, with sessions that still finish. */
  const leaving = new Set<Listener>();
  const authenticator = createAuthenticator(deps.log);
  const admission = new Admission();
  const memory = new SessionMemory(deps.memoryBytes);
  const turns = new Turns();
  let draining = false;
  let onSessionClosed = (): void => undefined;

  function create(config: ListenerConfig): Listener {
    return new Listener(config, {
      ...deps,
      authenticator,
      memory,
      turns,
      admission,
      isDraining: () => draining,
      onSessionClosed: () => onSessionClosed(),
    });
  }

  function retire(listener: Listener): void {
    leaving.add(listener);
    listener.drain();
    for (const old of leaving) if (old.sessions.size === 0) leaving.delete(old);
  }

  async function openAtReload(key: string, config: ListenerConfig): Promise<void> {
    const listener = create(config);
    listeners.set(key, listener);
    try {
      const { address, port } = await listener.open();
      deps.log.info({ listener: config.name, address, port }, 'listening');
    } catch (error) {
      listeners.delete(key);
      deps.log.error({ listener: config.name, err: error }, 'listener could not be opened');
    }
  }

  function everyListener(): Listener[] {
    return [...listeners.values(), ...leaving];
  }

  function allClosed(): boolean {
    return everyListener().every(listener => listener.sessions.size === 0);
  }

  async function whenClosed(limitMs: number): Promise<void> {
    if (allClosed()) return;
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, limitMs);
      onSessionClosed = () => {
        if (!allClosed()) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  return {
    async listen() {
      const opened: ListenerAddress[] = [];
      try {
        for (const config of deps.state().config.listeners) {
          const listener = create(config);
          listeners.set(keyOf(config), listener);
          const { address, port } = await listener.open();
          opened.push({ name: config.name, address, port });
        }
      } catch (error) {
        for (const listener of listeners.values()) listener.drain();
        listeners.clear();
        throw error;
      }
      return opened;
    },
    reload() {
      if (draining) return;
      const wanted = new Map(deps.state().config.listeners.map(config => [keyOf(config), config]));
      // First close, so that a port can pass from one listener to another.
      for (const [key, listener] of listeners) {
        if (wanted.has(key)) continue;
        listeners.delete(key);
        retire(listener);
      }
      for (const [key, config] of wanted) {
        const listener = listeners.get(key);
        if (listener === undefined) void openAtReload(key, config);
        else listener.reload(config);
      }
    },
    async stop(graceMs) {
      draining = true;
      for (const listener of everyListener()) listener.drain();
      await whenClosed(graceMs);
      for (const listener of everyListener()) listener.terminate();
      await whenClosed(closingMs);
    },
  };
}

/** What cannot change while a socket listens. */
function keyOf({ name, bindAddress, bindPort, protocol }: ListenerConfig): string {
  return JSON.stringify([name, bindAddress, bindPort, protocol]);
}
