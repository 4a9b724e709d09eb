/** Tokens of a structured header field (RFC 5322 s3.2). */
export interface Token {
  /** `atom` may hold dots and non-ASCII; `quoted` and `literal` keep their quotes and brackets. */
  readonly type: 'atom' | 'quoted' | 'literal' | 'comment' | 'space' | 'special';
  readonly text: string;
}

const atom = /[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\u{10ffff}-]+/uy;
const quoted = /"(?:[^"\\]|\\.)*"/uy;
const literal = /\[[^[\]\\]*\]/y;
const space = /[ \t]+/y;
const special = /[<>@,;:]/y;
const deepestComment = 10;

/** `text`: an unfolded value without control characters. */
export function tokenize(text: string): Token[] | { readonly fault: string } {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const token = text[at] === '(' ? comment(text, at) : next(text, at);
    if ('fault' in token) return token;
    tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

function next(text: string, at: number): Token | { readonly fault: string } {
  for (const [type, pattern] of [
    ['atom', atom],
    ['space', space],
    ['quoted', quoted],
    ['special', special],
    ['literal', literal],
  ] as const) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) return { type, text: found };
  }
  return { fault: text[at] === '"' ? 'a quote that is never closed' : 'a special character outside of quotes' };
}

/**
 * RFC 5322 s3.2.2. Comments with quotes, backslashes, @ or angle brackets are refused: receivers that do not know
 * comments would find addresses, or begin a quoted string, inside them.
 */
function comment(text: string, from: number): Token | { readonly fault: string } {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if ('@<>"\\'.includes(character)) return { fault: 'a comment with special characters' };
    if (character === '(') depth += 1;
    if (character === ')') depth -= 1;
    if (depth > deepestComment) return { fault: 'comments within comments' };
    if (depth === 0) return { type: 'comment', text: text.slice(from, at + 1) };
  }
  return { fault: 'a comment that is never closed' };
}
