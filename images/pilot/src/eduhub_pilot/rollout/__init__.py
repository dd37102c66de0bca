"""The parts of a rollout: admission, traffic shift, monitor, drain, rehearsal, undo, readiness of the rollback."""
