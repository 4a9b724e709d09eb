import { programsMissing } from '../support/programs.ts';
import { testAskedTwice } from './asked-twice.ts';

testAskedTwice({ name: 'Redis', program: 'redis-server', skip: programsMissing('redis-server', 'redis-cli') });
