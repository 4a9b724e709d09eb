/** Which destinations a reload may have mended: what they rest for is no longer how things are. Pure. */
import type { RouteConfig } from '../config.ts';
import type { RelayState } from '../state.ts';

type Configured = Pick<RelayState, 'config' | 'secrets'>;

/** Smart hosts whose address, TLS, credentials or roots are not what they were. */
export function changedSmartHosts(before: Configured, after: Configured): string[] {
  const [was, is] = [smartHosts(before), smartHosts(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter(name => was.get(name) !== is.get(name));
}

export function asksOtherNameservers({ config: before }: Configured, { config: after }: Configured): boolean {
  return before.nameservers.join() !== after.nameservers.join();
}

/** By destination, as `destinationOf` names them: all that a connection depends on. Never logged: it holds secrets. */
function smartHosts({ config, secrets }: Configured): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const add = (destination: string, route: RouteConfig | undefined): void => {
    if (route?.type !== 'SmartHost') return;
    const { credentialsDir = '', caFile = '' } = route.smartHost;
    const secret = [secrets.credentials.get(credentialsDir), secrets.trustAnchors.get(caFile)];
    found.set(destination, JSON.stringify([route.smartHost, ...secret]));
  };
  add('smart-host/relay', config.route);
  for (const { namespace, name, route } of config.policies) add(`smart-host/${namespace}/${name}`, route);
  return found;
}
