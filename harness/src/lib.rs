//! Boots kernels, loads BPF programs into them, and brings back what their verifiers saw and said.
