/** How an owner asks for new keys now: by an annotation on the DomainPolicy. */
import { createHash } from 'node:crypto';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { rotateKeysAnnotation } from '../labels.ts';

/**
 * The same for the same text, and short whatever its length; undefined: nothing is asked for. Keys remember the one at which they were made,
 * so that a text replaces those of before once, and is no wish any more for those that it brought.
 */
export function rotateRequestOf({ metadata }: DomainPolicy): string | undefined {
  const text = metadata.annotations?.[rotateKeysAnnotation] ?? '';
  return text === '' ? undefined : createHash('sha256').update(text).digest('hex').slice(0, 16);
}
