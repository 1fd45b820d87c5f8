//! Pseudonyms and the free-text scrubber.
