//! Boots kernels, loads BPF programs into them, and brings back what their verifiers saw and said.
//!
//! ```text
//! host                                              guest
//! image     a kernel on the host: release, BTF
//! packages  kernels of the distribution, cached
//! build     kernels from source, cached
//! run       QEMU, supervision          <- virtio-serial ->   agent: BPF_PROG_LOAD, libbpf for some objects
//!  |                              protocol
//!  +- agent::prepare   libbpf without a kernel, in processes that are shut in
//! ```
//!
//! The crate knows nothing of liveness: it hands over [`livediff_capture::Loaded`] and
//! [`livediff_capture::Said`] as they are. The program that calls [`run::run`] is packed into the guest as its
//! first process, and started again on the host to prepare objects, so it must ask [`agent::is_guest`] before anything
//! else and then become the agent.
#![deny(unsafe_code)]

pub mod agent;
pub mod build;
mod cache;
pub mod image;
mod memory;
pub mod packages;
pub mod process;
mod protocol;
pub mod run;

pub use cache::root as cache_root;
