import type { DkimAlgorithm } from './dkim-key.ts';

/** Reason -> what it means; they end up in events unchanged. */
export const rotationReasons = {
  KeyMinted: 'A DKIM key was made, and its record is awaited.',
  KeyPublished: 'The record of a DKIM key is there, and the pods load the key.',
  KeyActivated: 'Every pod has loaded a DKIM key whose record is there: it signs from now on.',
  KeyRetired: 'A DKIM key signs no more; its record is needed until the last message it signed can have arrived.',
  KeyReturned: 'A DKIM key that was replaced is used again: its record is there, and that of its successor is not.',
  KeyRemoved: 'No message signed with a DKIM key can still arrive: its record may go.',
  KeyRecordLost:
    'The record of a DKIM key is gone or different at a server of a domain: no mail of that domain is signed with it until it is back.',
  KeyRevoked: 'New DKIM keys were asked for: this one signs at most until its successor does, and never again.',
  KeyWithdrawn: 'A DKIM key that was revoked signs no more, at any pod: its record must go.',
} as const;
export type RotationReason = keyof typeof rotationReasons;

export interface RotationEvent {
  readonly reason: RotationReason;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  /** Those concerned; empty: none in particular. */
  readonly domains: readonly string[];
}
