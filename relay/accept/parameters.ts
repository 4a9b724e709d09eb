/** The arguments of MAIL and RCPT: a path in angle brackets, then ESMTP parameters (RFC 5321 s4.1.1.2, s4.1.1.3, s4.1.2). */

export interface PathArgument {
  /** Between the angle brackets; empty for the null reverse-path. */
  readonly path: string;
  /** By upper-case keyword; undefined where no `=` followed. */
  readonly parameters: ReadonlyMap<string, string | undefined>;
}

export type ParameterFault = 'syntax' | 'duplicate';

/** `argument` is what follows the verb and its space. Undefined when it is not `FROM:<...>` or `TO:<...>` and what belongs to it. */
export function parsePathArgument(argument: string, keyword: 'FROM' | 'TO'): PathArgument | ParameterFault {
  const open = keyword.length + 1;
  // No space is allowed around the colon (RFC 5321 s3.3), and some servers that allowed it disagreed on what it meant.
  if (argument.slice(0, open).toUpperCase() !== `${keyword}:` || argument[open] !== '<') return 'syntax';
  const close = closingBracket(argument, open + 1);
  if (close === -1) return 'syntax';
  const rest = argument.slice(close + 1);
  if (rest !== '' && !rest.startsWith(' ')) return 'syntax';
  const parameters = parseParameters(rest);
  return typeof parameters === 'string' ? parameters : { path: argument.slice(open + 1, close), parameters };
}

/** A quoted local-part may hold any bracket (RFC 5321 s4.1.2). */
function closingBracket(text: string, from: number): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '"') quoted = !quoted;
    else if (quoted && character === '\\') at++;
    else if (!quoted && character === '>') return at;
  }
  return -1;
}

/** RFC 5321 s4.1.2 esmtp-keyword and esmtp-value; RFC 6531 s3.3 lets values hold UTF-8. */
const parameterSyntax = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?$/;

function parseParameters(text: string): Map<string, string | undefined> | ParameterFault {
  const parameters = new Map<string, string | undefined>();
  for (const word of text.split(' ')) {
    if (word === '') continue;
    const match = parameterSyntax.exec(word);
    const keyword = match?.[1]?.toUpperCase();
    if (keyword === undefined) return 'syntax';
    if (parameters.has(keyword)) return 'duplicate';
    parameters.set(keyword, match?.[2]);
  }
  return parameters;
}
