//! Loads the objects given into a kernel and tells what became of every program:
//! `load KERNEL OBJECT...`. With `LOG=1` in the environment, the logs too.
use livediff_harness::{
    agent,
    image::Image,
    packages::Store,
    run::{self, Cancel, Event, Object, Options, Outcome},
};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if agent::is_guest() {
        agent::main();
    }
    let start = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let kernel = arguments.next().ok_or("usage: load KERNEL OBJECT...")?;
    // A path or, as with the program itself, a series or version.
    let path = match kernel.contains('/') {
        true => kernel.into(),
        false => Store::open()?.resolve(&kernel, &|text| eprintln!("{text}"))?,
    };
    let image = Image::open(&path)?;
    eprintln!("{:6.2} {}", start.elapsed().as_secs_f32(), image.release);
    let mut objects = Vec::new();
    for name in arguments {
        objects.push(Object { bytes: std::fs::read(&name)?.into(), name, only: None });
    }
    let logs = std::env::var_os("LOG").is_some();
    run::run(&image, objects, &Options::default(), &Cancel::new(), &mut |event| {
        let at = start.elapsed().as_secs_f32();
        match event {
            Event::Program { object, program, outcome: Outcome::Loaded(both) } => {
                let (loaded, said) = *both;
                println!(
                    "{at:6.2} {object}/{program}: {:?} {} {} insns, {} bytes of log",
                    said.verdict,
                    said.errno,
                    loaded.insns.len(),
                    said.log.len()
                );
                if logs {
                    println!("{}", said.log);
                    println!("{:#?}", livediff_capture::Loaded { insns: Vec::new(), ..loaded });
                }
            }
            other => println!("{at:6.2} {other:?}"),
        }
    })?;
    eprintln!("{:6.2} end", start.elapsed().as_secs_f32());
    Ok(())
}
