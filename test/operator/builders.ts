/** Valid objects with their defaults, from what a test cares about. */
import assert from 'node:assert/strict';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { validateObject } from '../../crds/validate-object.ts';
import * as objects from '../crds/objects.ts';

type Fields = Readonly<Record<string, unknown>>;

export function mailRelay(spec: Fields = {}, metadata: Fields = {}): MailRelay {
  const { object, faults } = validateObject(objects.mailRelay(spec, metadata));
  assert.ok(object?.kind === 'MailRelay', JSON.stringify(faults));
  return object;
}

export function domainPolicy(spec: Fields = {}, metadata: Fields = {}): DomainPolicy {
  const { object, faults } = validateObject(objects.domainPolicy(spec, metadata));
  assert.ok(object?.kind === 'DomainPolicy', JSON.stringify(faults));
  return object;
}
