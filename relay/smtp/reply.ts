/** What one SMTP peer says to another (RFC 5321 s4.2): what we say to clients, and what next hops say to us. */
export interface Reply {
  /** Three-digit reply code, 200 to 599 (RFC 5321 s4.2.1). */
  readonly code: number;
  /** Enhanced status code `class.subject.detail` (RFC 3463, RFC 5248); empty where the peer gave none. */
  readonly enhanced: string;
  /** Text without codes; lines of a multi-line reply are joined by `\n`. */
  readonly text: string;
}

export function reply(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, text };
}

/** RFC 5321 s4.2.1: a 5yz reply must not be retried as it stands. */
export function isPermanent(answer: Reply): boolean {
  return answer.code >= 500 && answer.code < 600;
}

/** One line for logs, status fields and the Diagnostic-Code of a DSN. */
export function formatReply(answer: Reply): string {
  const enhanced = answer.enhanced === '' ? '' : `${answer.enhanced} `;
  return `${answer.code} ${enhanced}${answer.text.replaceAll(/\s*\n\s*/g, ' ')}`;
}
