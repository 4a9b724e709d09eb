/** From a claim to the lane it goes through. Answers at once for what was asked before. */
import type { PolicyConfig, RelayConfig, SmartHostConfig } from '../config.ts';
import type { Connector, Target } from '../deliver/connect.ts';
import { findNextHop, type NextHopResult } from '../deliver/next-hop.ts';
import { deferred, type Setback } from '../deliver/outcome.ts';
import type { MailResolver } from '../deliver/resolver.ts';
import type { TlsMode, TlsPlan } from '../deliver/tls.ts';
import { TtlCache } from '../deliver/ttl-cache.ts';
import { resolveDestination } from '../destination.ts';
import type { Claim } from '../queue/queue.ts';
import type { RelayState } from '../state.ts';
import type { LaneRoute } from './lane-host.ts';

export type Route =
  | { readonly type: 'Capture' }
  | { readonly type: 'Lane'; readonly lane: LaneRoute }
  | { readonly type: 'Setback'; readonly setback: Setback };

export interface RoutesDeps {
  state(): Pick<RelayState, 'config' | 'secrets'>;
  readonly resolver: MailResolver;
  readonly connector: Connector;
  readonly signal: AbortSignal;
  now(): number;
}

const maxNextHops = 20_000;
const nextHopTtlMs = 60_000;
const strictness: readonly TlsMode[] = ['Disabled', 'Opportunistic', 'Required', 'Verified'];

export class Routes {
  readonly #deps: RoutesDeps;
  readonly #nextHops: TtlCache<NextHopResult>;
  #policies: { readonly of: RelayConfig; readonly byName: ReadonlyMap<string, PolicyConfig> } | undefined;

  constructor(deps: RoutesDeps) {
    this.#deps = deps;
    this.#nextHops = new TtlCache(maxNextHops, () => deps.now());
  }

  /** A promise only where DNS has to be asked. */
  find(claim: Claim): Route | Promise<Route> {
    const { config } = this.#deps.state();
    const destination = resolveDestination(config, claim.destination);
    if (destination === undefined) return { type: 'Setback', setback: deferred('RouteMissing') };
    if (destination.type === 'Capture') return destination;
    const wanted = this.#wantedTls(claim);
    if (destination.type === 'SmartHost') return this.#toSmartHost(claim.destination, destination.smartHost, wanted);
    const known = this.#nextHops.get(destination.domain);
    if (known !== undefined) return this.#toNextHop(known, wanted);
    return this.#ask(destination.domain).then(result => this.#toNextHop(result, wanted));
  }

  #wantedTls({ message }: Claim): PolicyConfig['tls'] {
    // RFC 8689 s4.2.1: the next hop's certificate must be verified.
    if (message.sender.requireTls) return 'Verified';
    const policy = message.policy === null ? undefined : this.#policy(message.policy);
    // Its owner may ask less for what waits, too; that it is gone says nothing of the kind.
    return policy?.tls ?? message.tls ?? 'Opportunistic';
  }

  #policy(name: string): PolicyConfig | undefined {
    const { config } = this.#deps.state();
    if (this.#policies?.of !== config) {
      const entries = config.policies.map(policy => [`${policy.namespace}/${policy.name}`, policy] as const);
      this.#policies = { of: config, byName: new Map(entries) };
    }
    return this.#policies.byName.get(name);
  }

  #toSmartHost(destination: string, { host, port, tls, implicitTls }: SmartHostConfig, wanted: TlsMode): Route {
    // Opportunistic is also what a policy says that says nothing: it does not overrule what the smart host is known to do.
    const mode = wanted !== 'Opportunistic' && strictness.indexOf(wanted) > strictness.indexOf(tls) ? wanted : tls;
    const lane: LaneRoute = {
      key: `smart-host|${destination}|${mode}|${implicitTls}|${host}:${port}`,
      smartHost: true,
      ownTls: mode !== tls,
      connect: async () => await this.#connect(this.#smartHostTarget(destination, mode)),
    };
    return { type: 'Lane', lane };
  }

  /** Read anew for each connection: host, password and roots follow a reload. */
  #smartHostTarget(destination: string, mode: TlsMode): Target | undefined {
    const { config, secrets } = this.#deps.state();
    const found = resolveDestination(config, destination);
    if (found?.type !== 'SmartHost') return undefined;
    const { smartHost } = found;
    const trustAnchors = smartHost.caFile === undefined ? undefined : secrets.trustAnchors.get(smartHost.caFile);
    const { credentialsDir, plaintextAuthentication } = smartHost;
    const credentials = credentialsDir === undefined ? undefined : secrets.credentials.get(credentialsDir);
    return {
      hosts: [{ name: smartHost.host, preference: 0 }],
      port: smartHost.port,
      tls: { mode, implicit: smartHost.implicitTls, ...(trustAnchors === undefined ? {} : { trustAnchors }) },
      smartHost: true,
      credentials: credentials && { ...credentials, inTheClear: plaintextAuthentication === 'Allowed' },
    };
  }

  #toNextHop(result: NextHopResult, mode: TlsMode): Route {
    if ('setback' in result) return { type: 'Setback', setback: result.setback };
    const { key, hosts } = result.nextHop;
    const { mxPort } = this.#deps.state().config.delivery;
    const tls: TlsPlan = { mode, implicit: false };
    const target: Target = { hosts, port: mxPort, tls, smartHost: false, credentials: undefined };
    const lane: LaneRoute = {
      key: `direct|${mode}|${mxPort}|${key}`,
      smartHost: false,
      ownTls: mode !== 'Opportunistic',
      connect: async () => await this.#connect(target),
    };
    return { type: 'Lane', lane };
  }

  async #connect(target: Target | undefined): ReturnType<LaneRoute['connect']> {
    if (target === undefined) {
      return { setback: deferred('RouteMissing'), remoteMta: undefined, detail: 'the configuration no longer has it' };
    }
    const { config } = this.#deps.state();
    return await this.#deps.connector.connect(target, {
      hostname: config.hostname,
      connectTimeoutMs: config.delivery.connectTimeoutSeconds * 1000,
      commandTimeoutMs: config.delivery.commandTimeoutSeconds * 1000,
      signal: this.#deps.signal,
    });
  }

  async #ask(domain: string): Promise<NextHopResult> {
    const result = await findNextHop(this.#deps.resolver, domain, this.#deps.state().config.hostname);
    const temporary = 'setback' in result && result.setback.result === 'Deferred';
    if (!temporary) this.#nextHops.set(domain, result, nextHopTtlMs);
    return result;
  }
}
