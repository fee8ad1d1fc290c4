//! That every kind of thing that matters is made.

use super::*;
use crate::{
    log::{Event, Listener, Silent},
    verifier::{self, Dialect},
};

fn programs(seed: u64, count: u64, dialect: Dialect, material: Material) -> Vec<Program> {
    let mut generator = Generator::new(seed, dialect, material);
    let made = generator.batch(0..count, |numbers, make| numbers.into_iter().map(make).collect());
    made.into_iter().map(|(program, _)| program).collect()
}

/// The most frames that an analysis comes to.
#[derive(Default)]
struct Frames(usize);

impl Listener for Frames {
    fn event(&mut self, _: &verifier::Program<'_>, event: Event<'_>) {
        if let Event::Analyzing { depth, .. } = event {
            self.0 = self.0.max(usize::from(depth) + 1);
        }
    }
}

/// Kernels before 7.2 refuse more than 8 frames where liveness is analysed, later ones more than 16.
#[test]
fn chains_of_calls_reach_the_limits_of_frames() {
    let (mut at_8, mut beyond_8, mut at_16, mut beyond_16) = (0, 0, 0, 0);
    for program in programs(2, 500, Dialect::V7_2, Material::without_kernel()) {
        let loaded = loaded(&program).unwrap();
        let mut frames = Frames::default();
        let in_7_2 = verifier::analyze(&loaded, Dialect::V7_2, &mut frames).map(drop);
        let in_7_1 = verifier::analyze(&loaded, Dialect::V7_1, &mut Silent).map(drop);
        let refused = |ended: &Result<(), verifier::Error>| {
            ended.as_ref().is_err_and(|error| error.in_liveness() && error.message.is_none())
        };
        match (frames.0, refused(&in_7_2)) {
            (8, false) => at_8 += usize::from(!refused(&in_7_1)),
            (9..=15, false) => beyond_8 += usize::from(refused(&in_7_1)),
            (16, false) => at_16 += usize::from(refused(&in_7_1)),
            // The 17th is refused before it is looked at.
            (16, true) => beyond_16 += 1,
            _ => {}
        }
    }
    let counts = [at_8, beyond_8, at_16, beyond_16];
    assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
}
