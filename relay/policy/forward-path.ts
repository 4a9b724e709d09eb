import { BlockList } from 'node:net';
import type { PolicyConfig } from '../config.ts';
import { addressOfLiteral } from '../smtp/domain.ts';
import type { Path } from '../smtp/path.ts';
import { reply } from '../smtp/reply.ts';
import type { Decision } from './decision.ts';
import type { PolicySnapshot } from './snapshot.ts';

/** RFC 6761 s6.3 and s6.4: names that never lead to a host of the Internet; `localhost` would lead to this very pod. */
const nowhere = /(?:^|\.)(?:localhost|invalid)$/;

/** The same host by its address: loopback, and the unspecified address, which connects to it (RFC 1122 s3.2.1.3, RFC 4291 s2.5). */
const thisHost = new BlockList();
thisHost.addSubnet('0.0.0.0', 8, 'ipv4');
thisHost.addSubnet('127.0.0.0', 8, 'ipv4');
thisHost.addAddress('::', 'ipv6');
thisHost.addAddress('::1', 'ipv6');

/** RCPT TO, after its syntax: can the route carry it at all? A smart host or the capture folder takes any domain. */
export function checkForwardPath(
  snapshot: PolicySnapshot,
  forwardPath: Path,
  policy: PolicyConfig | null = null,
): Decision {
  const route = policy?.route ?? snapshot.config.route;
  if (route.type !== 'Direct' || !leadsNowhere(forwardPath.domain)) return { accept: true, value: undefined };
  return {
    accept: false,
    reason: 'NoRoute',
    // RFC 3463 s3.2: 5.1.2, bad destination system address.
    reply: reply(550, '5.1.2', `no mail can be delivered to ${forwardPath.domain}: it names no host of the Internet`),
  };
}

function leadsNowhere(domain: string): boolean {
  if (!domain.startsWith('[')) return nowhere.test(domain);
  const { address, family } = addressOfLiteral(domain);
  // An IPv4 address in an IPv6 coat is the IPv4 address to BlockList, as it is to the system that connects.
  return thisHost.check(address, family);
}
