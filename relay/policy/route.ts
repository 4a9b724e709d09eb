import type { PolicyConfig } from '../config.ts';
import { destinationOf } from '../destination.ts';
import type { Path } from '../smtp/path.ts';
import type { PolicySnapshot } from './snapshot.ts';

/** Where a recipient is queued: see relay/destination.ts for the names. `policy` is null for our own DSNs. */
export function routeRecipient(
  snapshot: PolicySnapshot,
  policy: PolicyConfig | null,
  forwardPath: Path,
): { readonly destination: string; readonly domain: string } {
  const { domain } = forwardPath;
  return { destination: destinationOf(snapshot.config, policy, domain), domain };
}
