/**
 * The destination is what the queue groups recipients by: what is claimed together, sent in one transaction and suspended
 * together. It is a name, not a resolved route, so that mail already queued follows a change of configuration.
 *
 *   direct/<domain>                      the MX hosts of the forward-path's domain
 *   smart-host/relay                     the relay's smart host
 *   smart-host/<namespace>/<policy>      the smart host of a DomainPolicy
 *   capture                              the capture folder
 */
import type { PolicyConfig, RelayConfig, RouteConfig } from './config.ts';

export type Destination =
  | { readonly type: 'Direct'; readonly domain: string }
  | { readonly type: 'SmartHost'; readonly smartHost: Extract<RouteConfig, { type: 'SmartHost' }>['smartHost'] }
  | { readonly type: 'Capture' };

/** `policy` is null for our own DSNs: they take the relay's route. */
export function destinationOf(config: RelayConfig, policy: PolicyConfig | null, domain: string): string {
  const route = policy?.route ?? config.route;
  switch (route.type) {
    case 'Direct':
      return `direct/${domain}`;
    case 'SmartHost':
      return policy?.route === undefined ? 'smart-host/relay' : `smart-host/${policy.namespace}/${policy.name}`;
    case 'Capture':
      return 'capture';
  }
}

/** `undefined` when the configuration no longer has that route: the caller defers, since it may come back. */
export function resolveDestination(config: RelayConfig, destination: string): Destination | undefined {
  const [kind, first, second] = destination.split('/');
  if (kind === 'direct' && first !== undefined) return { type: 'Direct', domain: first };
  if (kind === 'capture') return { type: 'Capture' };
  if (kind !== 'smart-host') return undefined;
  const route =
    second === undefined
      ? config.route
      : config.policies.find(policy => policy.namespace === first && policy.name === second)?.route;
  return route?.type === 'SmartHost' ? { type: 'SmartHost', smartHost: route.smartHost } : undefined;
}
