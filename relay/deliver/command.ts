/** The MAIL and RCPT commands of a transaction, with the parameters that the next hop offers. */
import type { Claim, QueuedRecipient } from '../queue/queue.ts';
import { encodeXtext } from '../smtp/xtext.ts';
import { failed, type Setback } from './outcome.ts';

/** What a next hop said to EHLO, by keyword in upper case. */
export type Extensions = ReadonlyMap<string, string>;

const notAscii = /[\u0080-\uffff]/;
/** What could end a command line or begin another (RFC 5321 s2.3.8). */
const unsafe = /[\u0000-\u001f\u007f]/;

export function isSafeEnvelope(claim: Pick<Claim, 'message' | 'recipients'>): boolean {
  const { reversePath } = claim.message.sender;
  if (reversePath !== null && unsafe.test(reversePath.text)) return false;
  return claim.recipients.every(
    ({ forwardPath, orcpt }) =>
      !unsafe.test(forwardPath) && !(orcpt !== undefined && /[\u0000-\u0020\u007f]/.test(orcpt)),
  );
}

export function addressesNeedUtf8(claim: Pick<Claim, 'message' | 'recipients'>): boolean {
  const { reversePath } = claim.message.sender;
  if (reversePath !== null && notAscii.test(reversePath.text)) return true;
  return claim.recipients.some(({ forwardPath }) => notAscii.test(forwardPath));
}

/** What the next hop lacks and the message cannot do without. */
export function unmetNeed(claim: Claim, extensions: Extensions): Setback | undefined {
  const { sender } = claim.message;
  // RFC 8689 s5: a bounce is not given up for a next hop without it, of which verified TLS is demanded all the same.
  const wantsKeyword = sender.requireTls && sender.reversePath !== null;
  if (wantsKeyword && !extensions.has('REQUIRETLS')) return failed('RequireTlsUnsupported');
  const maxSizeBytes = Number(extensions.get('SIZE') ?? 0);
  // RFC 1870 s6.1; 0 and no number at all stand for no fixed limit.
  if (maxSizeBytes > 0 && messageSize(claim) > maxSizeBytes) return failed('TooBigForNextHop');
  return undefined;
}

export function messageSize(claim: Pick<Claim, 'head' | 'content'>): number {
  return claim.head.length + claim.content.sizeBytes;
}

export function mailCommand(claim: Claim, extensions: Extensions, utf8: boolean): string {
  const { sender } = claim.message;
  let command = `MAIL FROM:<${sender.reversePath === null ? '' : sender.reversePath.text}>`;
  if (extensions.has('SIZE')) command += ` SIZE=${messageSize(claim)}`;
  // Deviation: RFC 6152 s3 wants a message with 8-bit content converted or returned when the next hop lacks 8BITMIME.
  // Converting breaks its signature, and hosts that lack the keyword pass 8-bit content on all the same: it is sent as it is.
  if (sender.body === '8BITMIME' && extensions.has('8BITMIME')) command += ' BODY=8BITMIME';
  if (utf8 && extensions.has('SMTPUTF8')) command += ' SMTPUTF8';
  if (sender.requireTls && extensions.has('REQUIRETLS')) command += ' REQUIRETLS';
  if (extensions.has('DSN')) {
    // RFC 3461 s5.2.1: passed on as they came.
    if (sender.ret !== undefined) command += ` RET=${sender.ret}`;
    if (sender.envid !== undefined) command += ` ENVID=${encodeXtext(sender.envid)}`;
  }
  return `${command}\r\n`;
}

export function rcptCommand(recipient: QueuedRecipient, extensions: Extensions): string {
  let command = `RCPT TO:<${recipient.forwardPath}>`;
  if (extensions.has('DSN')) {
    if (recipient.notify.length > 0) command += ` NOTIFY=${recipient.notify.join(',').toUpperCase()}`;
    if (recipient.orcpt !== undefined) command += ` ORCPT=${recipient.orcpt}`;
  }
  return `${command}\r\n`;
}
