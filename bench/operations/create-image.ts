import { memoryTarget, type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, inChroot, mkcomposefs, ostree, startedIn } from '../programs.ts';
import { REMOTE } from '../stores.ts';

const DUMP_AND_BUILD = 'cfsctl ostree dump, mkcomposefs --from-file';
const CHECKOUT = 'ostree checkout --composefs';

/** cfsctl makes images of commits while it pulls, and not later. */
export const createImage: Operation = {
  title: 'image of a stored commit',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores }) => [
        cfsOstree(await stores.copyWithBase('cfs-ostree'), 'create-image', base.ref),
      ],
    },
    {
      label: DUMP_AND_BUILD,
      needs: ['cfsctl', 'mkcomposefs'],
      prepare: async ({ fixture: { base }, stores }) => {
        const [dump, image] = [stores.path(), stores.path()];
        return [
          { ...cfsctl(await stores.withBase('cfsctl'), 'ostree', 'dump', base.ref), stdoutFile: dump },
          mkcomposefs('--from-file', inChroot(dump), inChroot(image)),
        ];
      },
    },
    {
      label: CHECKOUT,
      needs: ['ostree'],
      prepare: async ({ fixture: { base }, stores }) => {
        const store = await stores.copyWithBase('ostree');
        const checkout = ['checkout', '--composefs-noverity', `${REMOTE}:${base.ref}`, inChroot(stores.path())];
        // It links from its current directory, which has to be on the same file system.
        return [startedIn(inChroot(store), ostree(store, ...checkout))];
      },
    },
  ],
  targets: [wallRatio(DUMP_AND_BUILD, 1), wallRatio(CHECKOUT, 0.15), memoryTarget(150)],
};
