/** What the schema takes and the pods cannot do. */
import type { MailRelay } from '../../crds/mail-relay.ts';

/**
 * @returns why a relay is not served; nothing of it is made or changed then, and what runs goes on.
 * Pods keep mail in their own folder alone: with type Redis that folder would be gone with the pod, and acknowledged mail with it.
 */
export function notSupported({ spec }: MailRelay): string | undefined {
  return spec.queue.type === 'Redis' ? 'spec.queue.type must be Volume: Redis is not supported yet' : undefined;
}
