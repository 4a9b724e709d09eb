import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baseDomain,
  coveringPatterns,
  nearestPattern,
  normalizeDomain,
  normalizeDomainPattern,
} from '../../../relay/smtp/domain.ts';

test('the patterns that cover a domain come nearest first, and an address literal has none but itself', () => {
  assert.deepEqual([...coveringPatterns('a.b.example')], ['a.b.example', '*.b.example', '*.example']);
  assert.deepEqual([...coveringPatterns('[192.0.2.1]')], ['[192.0.2.1]']);
});

test('a wildcard covers subdomains of any depth and not the domain itself', () => {
  assert.equal(nearestPattern(['*.example.com'], 'a.b.example.com'), '*.example.com');
  assert.equal(nearestPattern(['*.example.com'], 'example.com'), undefined);
  assert.equal(nearestPattern(['*.example.com'], 'badexample.com'), undefined);
  assert.equal(nearestPattern(['example.com'], 'a.example.com'), undefined);
});

test('the nearest pattern wins, however the configuration spells it', () => {
  const patterns = ['*.example.com', '*.B.Example.com', 'dömäin.example'];
  assert.equal(nearestPattern(patterns, 'a.b.example.com'), '*.b.example.com');
  assert.equal(nearestPattern(patterns, 'xn--dmin-moa0i.example'), 'xn--dmin-moa0i.example');
});

test('records of a wildcard stand at the domain above it', () => {
  assert.equal(baseDomain('*.example.com'), 'example.com');
  assert.equal(baseDomain('example.com'), 'example.com');
});

test('a pattern is a domain with at most one star, at its start', () => {
  assert.equal(normalizeDomainPattern('*.Example.COM'), '*.example.com');
  for (const bad of ['*', '*.', '*example.com', 'a.*.com', '*.*.com', '**.com', '']) {
    assert.equal(normalizeDomainPattern(bad), undefined, bad);
  }
});

test('German sharp s and Greek final sigma keep their own A-labels (IDNA2008)', () => {
  assert.equal(normalizeDomain('straße.example'), 'xn--strae-oqa.example');
  assert.notEqual(normalizeDomain('straße.example'), normalizeDomain('strasse.example'));
});
