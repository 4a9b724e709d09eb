import { ConnectionError } from './errors.ts';

const newline = 0x0a;

/**
 * Each line of a stream as JSON. A line that is no JSON, is longer than `longestBytes`, or is not ended when the stream is, is a
 * ConnectionError: after it nothing on this stream can be trusted.
 */
export async function* jsonLines(stream: AsyncIterable<Buffer>, longestBytes: number): AsyncGenerator<unknown> {
  let parts: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const line =
        parts.length === 0 ? chunk.subarray(from, end) : Buffer.concat([...parts, chunk.subarray(from, end)]);
      parts = [];
      heldBytes = 0;
      from = end + 1;
      if (line.length > 0) yield parseJson(line);
    }
    if (from === chunk.length) continue;
    parts.push(chunk.subarray(from));
    heldBytes += chunk.length - from;
    if (heldBytes > longestBytes) throw new ConnectionError('watch', 'TooLarge');
  }
  if (heldBytes > 0) throw new ConnectionError('watch', 'BadAnswer', new Error('cut short within a line'));
}

export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // Not the parser's own words: they quote the text, which may be a Secret.
    throw new ConnectionError('answer', 'BadAnswer', new Error(`no JSON in ${bytes.length} bytes`));
  }
}
