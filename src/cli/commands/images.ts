import type { ListedImage } from '../../operations/list-images.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes } from '../format-size.ts';
import { formatTable } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const IMAGES_FIELDS: Fields<ListedImage> = ['image', 'names', 'sizeBytes', 'erofsVersion', 'commit'];

/** Enough of an id to tell images apart; --json has all of it. */
const SHOWN_DIGITS = 24;

export const imagesCommand = (cli: CliContext) =>
  newCommand('images', {
    summary: 'list images',
    description: 'Lists the images of the repository with their names, and the commit that each was built from.',
    examples: [
      { command: 'cfs-ostree images', explanation: 'A table' },
      { command: 'cfs-ostree images --json-lines', explanation: 'With full ids, one object for each line' },
    ],
    output: 'listing',
  }).action(async () => {
    await using repo = await cli.openRepository({ beginsWork: false });
    const { listImages } = await import('../../operations/list-images.ts');
    await cli.list(listImages(repo), { fields: IMAGES_FIELDS, text: { table: formatImages } });
  });

function formatImages(images: ListedImage[]): string {
  if (images.length === 0) return 'No images here\n';
  const columns = [
    { title: 'IMAGE' },
    { title: 'SIZE', align: 'right' as const },
    { title: 'EROFS', align: 'right' as const },
    { title: 'COMMIT' },
    { title: 'NAMES' },
  ];
  return formatTable(
    columns,
    images.map(({ image, names, sizeBytes, erofsVersion, commit }) => [
      image.slice(0, SHOWN_DIGITS),
      formatBytes(sizeBytes),
      String(erofsVersion),
      commit?.slice(0, 16) ?? '-',
      names.map(shownText).join(' '),
    ]),
  );
}
