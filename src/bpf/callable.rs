//! What programs can call in one kernel: its functions and its helpers.

use super::{btf::Btf, helpers::Offered, kfunc::Kfuncs};
use crate::Dialect;
use livediff_capture::Loaded;

/// The functions and helpers of one kernel, indexed. Make it once and ask it for every program.
pub struct Callable<'a> {
    kfuncs: Kfuncs<'a>,
    helpers: Offered<'a>,
}

impl<'a> Callable<'a> {
    /// Indexes what a kernel offers from its BTF and the `.BTF_ids` section of its image, empty where it has none; see
    /// [`Kfuncs::new`] and [`Offered::new`].
    pub fn new(btf: &'a Btf<'a>, dialect: Dialect, btf_ids: &[u8]) -> Callable<'a> {
        let btf_ids = Some(btf_ids).filter(|ids| !ids.is_empty());
        Callable { kfuncs: Kfuncs::new(btf, dialect, btf_ids), helpers: Offered::new(btf, dialect) }
    }

    /// Adds the facts of all that the program calls: [`Loaded::kfuncs`] and [`Loaded::helpers_missing`].
    pub fn fill(&self, loaded: &mut Loaded) {
        loaded.kfuncs = self.kfuncs.resolve(loaded);
        loaded.helpers_missing = self.helpers.missing(loaded);
    }
}
