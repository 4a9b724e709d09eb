import { domainPolicyKind } from './domain-policy.ts';
import type { Kind } from './kind.ts';
import { mailRelayKind } from './mail-relay.ts';

export const kinds: readonly Kind[] = [mailRelayKind, domainPolicyKind];
