"""What is built on runs: applications with a store, a stream and people."""
