/**
 * Mailboxes of an address list (RFC 5322 s3.4, groups by RFC 6854, UTF-8 by RFC 6532), by the strict grammar, less what
 * receivers are known to read differently. Each refusal names its reason at the check.
 */
import { decodeEncodedWords, hasEncodedWord } from './encoded-word.ts';
import { type Path, parsePath } from './path.ts';
import { type Token, tokenize } from './tokens.ts';

export type Mailboxes =
  | { readonly ok: true; readonly mailboxes: readonly Path[] }
  | { readonly ok: false; readonly fault: string };

type Item = { readonly mailbox: Path } | { readonly fault: string };

const maxMailboxes = 100;

/** `text`: an unfolded field value without control characters. */
export function parseMailboxes(text: string): Mailboxes {
  const tokens = tokenize(text);
  if ('fault' in tokens) return { ok: false, fault: tokens.fault };
  const members = membersOf(tokens);
  if ('fault' in members) return { ok: false, fault: members.fault };
  const items = split(members, ',');
  if (items.length > maxMailboxes) return { ok: false, fault: `more than ${maxMailboxes} addresses` };
  const mailboxes: Path[] = [];
  for (const item of items) {
    const parsed = parseItem(item);
    if ('fault' in parsed) return { ok: false, fault: parsed.fault };
    mailboxes.push(parsed.mailbox);
  }
  return { ok: true, mailboxes };
}

/**
 * The list, or what the one group that makes up the whole field holds (RFC 6854 s2). Several groups, or groups beside
 * mailboxes, are valid but read in too many ways; a group with nobody in it names no author.
 */
function membersOf(tokens: readonly Token[]): readonly Token[] | { readonly fault: string } {
  if (!tokens.some(token => isSpecial(token, ':') || isSpecial(token, ';'))) return tokens;
  const colon = tokens.findIndex(token => isSpecial(token, ':'));
  // A comment behind the group is another, empty entry to some.
  const end = tokens.findLastIndex(token => token.type !== 'space');
  const name = tokens.slice(0, Math.max(colon, 0)).filter(isVisible);
  const members = tokens.slice(colon + 1, end);
  const oneGroup = name.length > 0 && name.every(isWord) && isSpecial(tokens[end], ';');
  if (!oneGroup || members.some(token => isSpecial(token, ':') || isSpecial(token, ';'))) {
    return { fault: 'a colon or semicolon outside of quotes' };
  }
  const fault = displayNameFault(name);
  return fault === undefined ? members : { fault };
}

function parseItem(item: readonly Token[]): Item {
  const visible = trim(item);
  if (visible.length === 0) return { fault: 'an empty entry' };
  const open = visible.findIndex(token => isSpecial(token, '<'));
  if (open === -1) return parseAddress(visible);
  const close = visible.length - 1;
  if (visible.findIndex(token => isSpecial(token, '>')) !== close) return { fault: 'text after the closing >' };
  const name = visible.slice(0, open).filter(isVisible);
  // `a@victim <b@mine>`: some receivers take the first address they see.
  if (!name.every(isWord)) return { fault: 'a display name with special characters must stand in double quotes' };
  const fault = displayNameFault(name);
  return fault === undefined ? parseAddress(visible.slice(open + 1, close)) : { fault };
}

/** addr-spec (RFC 5322 s3.4.1), without the white space and comments that its obsolete form lets inside. */
function parseAddress(tokens: readonly Token[]): Item {
  const [local, at, domain, ...rest] = tokens;
  const shaped =
    local !== undefined && isWord(local) && isSpecial(at, '@') && domain !== undefined && rest.length === 0;
  if (!shaped || (domain.type !== 'atom' && domain.type !== 'literal'))
    return { fault: 'no plain address local@domain' };
  // Receivers that decode before they parse would see another address (RFC 2047 s5 forbids it).
  if (hasEncodedWord(local.text)) return { fault: 'an encoded word within an address' };
  // Receivers that split at the first @ or comma, quoted or not.
  if (local.type === 'quoted' && /[@<>,;:\\\s]/u.test(local.text.slice(1, -1))) {
    return { fault: 'a quoted local-part with special characters' };
  }
  const mailbox = parsePath(`${local.text}@${domain.text}`, { smtputf8: true });
  return mailbox === undefined ? { fault: 'not a valid address' } : { mailbox };
}

/** A display name may say anything but what makes a receiver find an address, or an end, within it. */
function displayNameFault(words: readonly Token[]): string | undefined {
  // RFC 5322 s4.1: a phrase with dots begins with a word; some receivers fail on anything else.
  if (words[0]?.text.startsWith('.') === true) return 'a display name that begins with a dot';
  // A receiver that does not know quoted-pairs leaves the quotes at the first `\"`.
  const escaped = words.some(({ type, text }) => type === 'quoted' && text.includes('\\') && text.includes('@'));
  if (escaped) return 'a display name with an @ and a backslash';
  const name = decodeEncodedWords(words.map(word => word.text).join(' '));
  if (name === undefined) return 'an encoded word that is broken, or hides a NUL, CR or LF';
  return holdsAngleAddress(name) ? 'a display name with an address in angle brackets' : undefined;
}

/** `<`, and an @ before the next `>`; by pieces, since an expression would try every `<` anew. */
function holdsAngleAddress(name: string): boolean {
  return name.split('>').some(piece => {
    const open = piece.indexOf('<');
    return open !== -1 && piece.includes('@', open);
  });
}

function trim(tokens: readonly Token[]): readonly Token[] {
  const first = tokens.findIndex(isVisible);
  return first === -1 ? [] : tokens.slice(first, tokens.findLastIndex(isVisible) + 1);
}

function split(tokens: readonly Token[], separator: string): Token[][] {
  const items: Token[][] = [[]];
  for (const token of tokens) {
    if (isSpecial(token, separator)) items.push([]);
    else items.at(-1)?.push(token);
  }
  return items;
}

function isVisible(token: Token): boolean {
  return token.type !== 'space' && token.type !== 'comment';
}

function isWord(token: Token): boolean {
  return token.type === 'atom' || token.type === 'quoted';
}

function isSpecial(token: Token | undefined, character: string): boolean {
  return token?.type === 'special' && token.text === character;
}
