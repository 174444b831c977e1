//! Publish and subscribe, schemas, positions, replay, dead letters.
