import { InvalidArgumentError } from 'commander';
import { UsageError } from '../../errors.ts';
import type { CommitResult } from '../../operations/commit.ts';
import { newCommand, wholeNumber } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatNumberOf } from '../format-size.ts';
import { formatFields } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const COMMIT_FIELDS: Fields<CommitResult> = ['commit', 'ref', 'parent', 'files', 'sizeBytes'];

/** uid_t and gid_t without -1, which means "none". */
const MAX_ID = 2 ** 32 - 2;

interface Flags {
  dumpfile?: string;
  branch: string;
  subject?: string;
  body?: string;
  parent?: string;
  timestamp?: bigint;
  ownerUid?: number;
  ownerGid?: number;
  /** commander: false after --no-xattrs. */
  xattrs: boolean;
  canonicalPermissions?: boolean;
  addMetadataString?: Array<[string, string]>;
  generateComposefsMetadata?: boolean;
}

export const commitCommand = (cli: CliContext) =>
  newCommand('commit', {
    summary: 'make a commit of a directory',
    description: `Makes a new ostree commit of a directory or of a dumpfile's tree, with the id that ostree gives it. What ostree cannot
      hold is refused: devices, sockets, and names that are not UTF-8.`,
    examples: [
      { command: 'cfs-ostree commit ./tree --branch os/main --subject "Third release"', explanation: 'Of a directory' },
      {
        command: 'cfs-ostree commit ./tree --branch os/test --owner-uid 0 --owner-gid 0 --timestamp 0',
        explanation: 'The same id wherever it is made',
      },
    ],
    output: 'report',
  })
    .usage('[options] --branch <ref> <directory>\n       cfs-ostree commit [options] --branch <ref> --dumpfile <file>')
    .argument('[directory]', 'the tree')
    .option('--dumpfile <file>', 'the tree that a composefs dumpfile describes; its objects are stored here')
    .requiredOption('--branch <ref>', 'ref that is set to the new commit')
    .option('--subject <text>', 'one line about the commit')
    .option('--body <text>', 'more about it')
    .option('--parent <commit>', 'commit before this one, or none; default: what the branch stands for')
    .option('--timestamp <time>', 'seconds since 1970, or ISO 8601; default: now', parseTimestamp)
    .option('--owner-uid <n>', 'owner of every file', wholeNumber(0, MAX_ID))
    .option('--owner-gid <n>', 'group of every file', wholeNumber(0, MAX_ID))
    .option('--no-xattrs', 'leave out extended attributes')
    .option('--canonical-permissions', 'owner root, no set-id bits, at most 755')
    .option('--add-metadata-string <key=value>', 'metadata of the commit; may be repeated', parseMetadata)
    .option('--generate-composefs-metadata', "add the composefs digest of the commit's tree")
    .action(async (directory: string | undefined, flags: Flags) => {
      if ((directory === undefined) === (flags.dumpfile === undefined))
        throw new UsageError('name either a directory or a dumpfile (--dumpfile)');
      if (flags.canonicalPermissions && (flags.ownerUid || flags.ownerGid))
        throw new UsageError('--canonical-permissions makes everything owned by root: no other owner goes with it');
      const { checkTypedRef } = await import('../../operations/typed-ref.ts');
      checkTypedRef(flags.branch, '--branch');
      await using repo = await cli.openRepository({ write: true });
      const { commitTree } = await import('../../operations/commit.ts');
      const report = await commitTree(
        repo,
        directory === undefined ? { tree: await dumpfileTree(cli, flags.dumpfile as string) } : { directory },
        {
          branch: flags.branch,
          subject: flags.subject,
          body: flags.body,
          parent: flags.parent,
          timestampSeconds: flags.timestamp,
          ownerUid: flags.ownerUid,
          ownerGid: flags.ownerGid,
          noXattrs: !flags.xattrs,
          canonicalPermissions: flags.canonicalPermissions,
          metadata: flags.addMetadataString,
          generateComposefsMetadata: flags.generateComposefsMetadata,
          jobs: cli.flags.jobs,
          signal: cli.signal,
          progress: cli.progress,
        },
      );
      await cli.report(report, COMMIT_FIELDS, formatReport);
    });

async function dumpfileTree(cli: CliContext, path: string) {
  const { openTree, FILE_PREFIX } = await import('../../operations/resolve-tree.ts');
  return (await openTree(() => cli.openRepository(), `${FILE_PREFIX}${path}`)).root;
}

/** `1700000000`, `@1700000000`, `2026-01-31T12:00:00Z`, and without a zone in local time, as for ostree. */
function parseTimestamp(text: string): bigint {
  const seconds = /^@?(-?\d{1,18})$/.exec(text)?.[1];
  if (seconds !== undefined) return BigInt(seconds);
  const day = /^\d{4}-\d\d-\d\d/.exec(text)?.[0];
  // A day alone would be taken for one in UTC.
  const ms = day === undefined ? Number.NaN : Date.parse(day === text ? `${day}T00:00` : text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('It is a number of seconds since 1970 or an ISO 8601 time.');
  return BigInt(Math.floor(ms / 1000));
}

function parseMetadata(text: string, previous: Array<[string, string]> = []): Array<[string, string]> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It has the form KEY=VALUE.');
  return [...previous, [text.slice(0, at), text.slice(at + 1)]];
}

const formatReport = ({ commit, ref, parent, files, sizeBytes }: CommitResult): string =>
  `${shownText(ref)} ${commit}\n${formatFields([
    ['  parent', parent],
    ['  content', `${formatNumberOf(files, 'different file')}, ${formatBytes(sizeBytes)}`],
  ])}`;
