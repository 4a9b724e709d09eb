import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions } from '../../../operator/standalone/options.ts';

describe('the command line of standalone', () => {
  it('serves the quickstart on this machine alone when it is empty', () => {
    const options = parseOptions([], '/project');
    assert.equal(options.manifests, '/project/examples/quickstart');
    assert.match(options.dataDir, /\/\.postroad$/);
    assert.equal(options.bindAddress, '127.0.0.1');
    assert.deepEqual(options.http, { address: '127.0.0.1', port: 8080 });
  });

  const https: readonly [string, { address: string; port: number }][] = [
    ['0.0.0.0:80', { address: '0.0.0.0', port: 80 }],
    ['[::1]:0', { address: '::1', port: 0 }],
    ['localhost:9000', { address: '127.0.0.1', port: 9000 }],
  ];
  for (const [text, expected] of https) {
    it(`takes --http ${text}`, () => assert.deepEqual(parseOptions(['--http', text], '/').http, expected));
  }

  const wrong: readonly (readonly string[])[] = [
    ['--http', '8080'],
    ['--http', 'example.com:8080'],
    ['--http', '127.0.0.1:65536'],
    ['--http', '::1:8080'],
    ['--bind', 'eth0'],
    ['--bind', '127.0.0.1:25'],
    ['--manifest', 'x'],
    ['stray'],
  ];
  for (const args of wrong) {
    it(`refuses ${args.join(' ')}`, () => assert.throws(() => parseOptions(args, '/'), /must be|Unknown|Unexpected/));
  }
});
