/** Where the command begins; a file of its own in the bundle (scripts/bundle.js). */

import { enableCompileCache } from './compile-cache.ts';

enableCompileCache(); // before anything else is loaded
void import('./main.ts').then(({ main }) => main(process.argv.slice(2)));
