/** The composefs dump text format; layout and limits in doc/formats/dumpfile.md. */

export { parseDumpfile } from './dumpfile-parser.ts';
export { serializeDumpfile } from './dumpfile-writer.ts';
