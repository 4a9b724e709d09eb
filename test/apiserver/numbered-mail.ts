/** Mail that is told apart by the number in its subject. */
import type { RawClient } from '../support/raw-client.ts';

export function numberedMail(domain: string, number: number): Parameters<RawClient['send']>[0] {
  const lines = [`From: app@${domain}`, 'To: you@dest.example', `Subject: number ${number}`, '', 'Hello.', ''];
  return {
    reversePath: `app@${domain}`,
    recipients: ['you@dest.example'],
    content: Buffer.from(lines.join('\r\n')),
  };
}
