import type { PolicyConfig } from '../config.ts';
import type { Path } from '../smtp/path.ts';
import { reply } from '../smtp/reply.ts';
import type { Decision } from './decision.ts';
import type { PolicySnapshot } from './snapshot.ts';

/** RFC 6761 s6.3 and s6.4: names that never lead to a host of the Internet; `localhost` would lead to this very pod. */
const nowhere = /(?:^|\.)(?:localhost|invalid)$/;

/** RCPT TO, after its syntax: can the route carry it at all? A smart host or the capture folder takes any domain. */
export function checkForwardPath(
  snapshot: PolicySnapshot,
  forwardPath: Path,
  policy: PolicyConfig | null = null,
): Decision {
  const route = policy?.route ?? snapshot.config.route;
  if (route.type !== 'Direct' || !nowhere.test(forwardPath.domain)) return { accept: true, value: undefined };
  return {
    accept: false,
    reason: 'NoRoute',
    // RFC 3463 s3.2: 5.1.2, bad destination system address.
    reply: reply(550, '5.1.2', `no mail can be delivered to ${forwardPath.domain}: it names no host of the Internet`),
  };
}
